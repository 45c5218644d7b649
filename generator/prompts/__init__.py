"""System texts, ours alone: no text of a user ever stands in them."""

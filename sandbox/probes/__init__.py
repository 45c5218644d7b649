"""What code written to escape would try, as a catalogue: run on every tier, judged, printed."""

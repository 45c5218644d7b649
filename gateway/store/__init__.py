"""The database behind one protocol, JSON in and out."""

"""Who is asking: keys, sessions, permissions."""

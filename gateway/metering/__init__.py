"""What was called: a journal that survives a crash, drained into the store."""

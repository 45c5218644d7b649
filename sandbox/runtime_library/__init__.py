"""What user code can import from us inside a sandbox. The host copies it and never runs it."""

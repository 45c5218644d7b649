"""Dependencies of user code: read as data, resolved to a lock, built once into a shared layer."""

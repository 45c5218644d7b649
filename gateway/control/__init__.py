"""HTTP control API: parse, run an operation, answer JSON."""

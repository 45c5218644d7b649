"""The egress door: the only way out of a sandbox. It resolves, checks, pins and logs."""

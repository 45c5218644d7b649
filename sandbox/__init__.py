"""Sandboxes for untrusted code: manager, pool, runtimes, runner."""

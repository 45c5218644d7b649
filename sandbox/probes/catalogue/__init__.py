"""The rows, a file for each group."""

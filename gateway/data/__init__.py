"""The data server: what the code in sandboxes asks of its API's own store."""

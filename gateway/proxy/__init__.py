"""The call path from the public socket to the sandbox and back."""

"""Text of the platform's part of every file, and the packages that it may state."""

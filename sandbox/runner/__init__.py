"""What runs inside a sandbox; imports nothing of ours from outside this folder."""

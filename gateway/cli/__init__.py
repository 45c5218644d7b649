"""The sandgate command."""

"""Commands that talk to a running Sandgate over HTTP."""

from gateway.cli.client.register import register

__all__ = ["register"]

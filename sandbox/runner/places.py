"""Where things are inside the sandbox. Only tests move them."""

import os
from typing import NamedTuple

PROXY_PORT = 3128


class Places(NamedTuple):
    """`control` is the manager's socket; the other sockets lie beside it.

    `practises`: whether there is time to build and call a small app before there is code.
    """

    control: str
    layer: str = "/layer"
    proxy_port: int = PROXY_PORT
    practises: bool = True

    @property
    def door(self) -> str:
        """The way out."""
        return os.path.join(os.path.dirname(self.control), "door.sock")

    @property
    def calls(self) -> str:
        """Where calls are fetched when no listener could be handed in."""
        return os.path.join(os.path.dirname(self.control), "calls.sock")

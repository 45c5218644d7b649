"""What the server gives to whoever answers a request for another protocol."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

Field = tuple[bytes, bytes]


class Upgrade(Protocol):
    """A request that asked for an upgrade and has no answer yet; use one of both, once."""

    @property
    def headers(self) -> Sequence[Field]:
        """As they came, names in lower case."""
        ...

    def refuse(self, status: int, headers: Sequence[Field], body: bytes) -> None:
        """An ordinary answer; the connection closes after it."""
        ...

    def take_over(self, protocol: asyncio.Protocol) -> asyncio.Transport:
        """From now on the caller's bytes go to `protocol`, early ones at once.

        It is told `connection_made` first. The server forgets the connection, except that
        its end on drain is the protocol's to see to.
        """
        ...

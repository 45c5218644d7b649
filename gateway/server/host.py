"""What a connection needs of the server that it belongs to."""

from typing import TYPE_CHECKING, Protocol

from starlette.types import ASGIApp

from gateway.server.request import Head

if TYPE_CHECKING:
    from gateway.server.connection import ClientConnection, Request

Sender = tuple[str, int]


class Host(Protocol):
    """The server a connection belongs to."""

    now: float  # loop time, a second old at most
    is_draining: bool

    def opened(self, connection: "ClientConnection") -> None:
        """It is there."""
        ...

    def closed(self, connection: "ClientConnection") -> None:
        """It is gone, or another protocol's."""
        ...

    def dispatch(self, request: "Request") -> None:
        """Answer it, now or later."""
        ...

    def run(self, request: "Request", app: ASGIApp | None) -> None:
        """Answer it in a task; without an application by the server's own."""
        ...

    def sender(self, peer: Sender | None, head: Head) -> tuple[Sender | None, str]:
        """Whose request it is and the scheme it was asked for with."""
        ...

"""How calls get into one sandbox: the listener that is handed in, or a relay to its runner."""

import asyncio
from pathlib import Path
from socket import socket

from sandbox.channel import bind
from sandbox.relay import Relay

_BACKLOG = 128


class Intake:
    """One sandbox's. `relayed`: no listener can be handed in, so its runner dials `calls.sock`."""

    def __init__(self, public: Path, folder: Path, owner: int | None, *, relayed: bool) -> None:
        self._public_path = public
        self._calls_path = folder / "calls.sock"
        self._owner = owner
        self._relayed = relayed
        self._calls: socket | None = None
        self._public: socket | None = None
        self._relay: asyncio.Task[None] | None = None

    def prepare(self) -> None:
        """Before the sandbox is launched, or when it is taken over."""
        if self._relayed:
            self._calls_path.unlink(missing_ok=True)
            self._calls = bind(self._calls_path, backlog=_BACKLOG)
            self._calls_path.chmod(0o666)

    async def open(self) -> int | None:
        """Callers may come; the descriptor to hand in, or None when there is nothing to hand in."""
        self._public_path.unlink(missing_ok=True)
        self._public = bind(self._public_path, owner=self._owner)
        if self._calls is None:
            return self._public.fileno()
        self._relay = Relay(self._public, self._calls).start()
        await asyncio.sleep(0)  # from here on its own end closes what it holds
        return None

    def handed_over(self) -> None:
        """Only the sandbox, or its relay, listens now: when it ends, connecting is refused."""
        for sock in (self._public, self._calls):
            if sock is not None:
                sock.close()

    def end(self) -> None:
        """The sandbox is gone: so is its relay."""
        if self._relay is not None and not self._relay.cancelling():
            self._relay.cancel()  # once: a second time would interrupt its tidying up

    async def close(self) -> None:
        """Nothing of it is left in this process."""
        self.handed_over()
        self.end()
        if self._relay is not None:
            await asyncio.gather(self._relay, return_exceptions=True)

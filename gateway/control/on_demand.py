"""The control plane, put together with its first request: calls of APIs wait for none of it."""

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.control.services import ControlServices


class OnDemand:
    """An application that loads itself, in a thread, when somebody asks it something.

    Its routes and their models take longer to load than all that a call needs.
    """

    def __init__(self, services: ControlServices) -> None:
        self._services = services
        self._app: ASGIApp | None = None
        self._making = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The first requests wait for it together."""
        app = self._app or await self._ready()
        await app(scope, receive, send)

    async def _ready(self) -> ASGIApp:
        async with self._making:
            if self._app is None:
                self._app = await asyncio.to_thread(self._made)
            return self._app

    def _made(self) -> ASGIApp:
        from gateway.control.build import build_control

        return build_control(self._services)

"""Serves the user's application with uvicorn, on a listener or on connections that it dials."""

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
import uvloop

from .calls import Calls
from .context import Context, Receive, Scope, Send
from .dialling import Dialler
from .endings import Failure
from .failures import LifespanError, describe, user_traceback
from .loader import Application
from .threads import Executor

_BACKLOG = 4096
_KEEP_ALIVE_SECONDS = 1_000_000  # the gateway decides how long a connection is worth keeping
_GRACEFUL_SECONDS = 5
_DATE_SECONDS = 1.0

Source = socket.socket | Dialler  # where calls come from
Bell = tuple[int, Callable[[], bool]]  # a descriptor, and what to do when it is readable


def configure_logging() -> None:
    """uvicorn's warnings and the app's unhandled errors go to stderr, as under a plain run."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OwnerFormatter("%(levelname)s:     %(message)s"))
    logger = logging.getLogger("uvicorn")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.WARNING)
    logger.propagate = False


class _OwnerFormatter(logging.Formatter):
    """Shows tracebacks from the first frame of the owner's file on."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name is logging's
        """The stripped traceback."""
        return user_traceback(ei[1], "app.py").rstrip() if ei[1] else super().formatException(ei)


class LifespanWatch:
    """Passes the lifespan through and remembers why it failed."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self.error: BaseException | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One scope; only the lifespan's is watched."""
        if scope["type"] != "lifespan":
            await self._application(scope, receive, send)
            return
        await self._watch(scope, receive, send)

    async def _watch(self, scope: Scope, receive: Receive, send: Send) -> None:
        told = ""
        held: Any = None

        async def hold_failure(message: Any) -> None:
            nonlocal told, held
            if message["type"] == "lifespan.startup.failed":
                told, held = str(message.get("message", "")), {"type": message["type"]}
            else:
                await send(message)

        try:
            await self._application(scope, receive, hold_failure)
        except BaseException as error:
            if held is not None:
                self.error = error
            raise
        finally:
            if held is not None:
                last_line = told.strip().rpartition("\n")[2]
                self.error = self.error or LifespanError(last_line or "start-up failed")
                await send(held)


class Server(uvicorn.Server):
    """uvicorn that says when it is ready and sleeps while nothing happens."""

    def __init__(
        self,
        config: uvicorn.Config,
        source: Source,
        ready: Callable[[], None],
        bell: Bell | None = None,
    ) -> None:
        super().__init__(config)
        self._source = source
        self._ready = ready
        self._bell = bell
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
        """Start-up of the app, then accepting; then the word that it is ready."""
        self._loop = asyncio.get_running_loop()
        self._loop.set_default_executor(Executor(thread_name_prefix="asyncio"))
        if self._bell is not None:
            self._loop.add_reader(self._bell[0], self._on_bell, *self._bell)
        if isinstance(self._source, Dialler):
            await super().startup(sockets=[])
            self._source.start(self._protocol)
        else:
            await super().startup(sockets=[self._source])
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
        """As uvicorn does it, but no more calls are fetched first."""
        if isinstance(self._source, Dialler):
            self._source.stop()
            await super().shutdown()
        else:
            await super().shutdown(sockets=[self._source])

    def _protocol(self) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    def _on_bell(self, number: int, heard: Callable[[], bool]) -> None:
        if not heard() and self._loop is not None:
            self._loop.remove_reader(number)

    async def main_loop(self) -> None:
        """One tick a second for the Date header, and one at once when it is to end."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _DATE_SECONDS)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by the signal."""
        super().handle_exit(sig, frame)
        self.end()

    def end(self) -> None:
        """Finish what is under way, then return from `run`."""
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake.set)


def new_loop() -> asyncio.AbstractEventLoop:
    """The quick event loop, or the ordinary one on a kernel that it cannot use."""
    try:
        return uvloop.new_event_loop()
    except (OSError, RuntimeError):
        return asyncio.new_event_loop()


def run(server: Server) -> None:
    """Serve until it is told to end."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(server.serve())


def make_config(application: Application) -> uvicorn.Config:
    """How uvicorn is told to behave; also called once for warming, with a toy application."""
    return uvicorn.Config(
        application,
        http="httptools",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACEFUL_SECONDS,
    )


def serve(
    application: Application,
    source: Source,
    calls: Calls,
    ready: Callable[[], None],
    bell: Bell,
) -> Failure | None:
    """Serve until SIGTERM; the failure when the app's start-up failed."""
    watch = LifespanWatch(application)
    server = Server(make_config(Context(watch, calls)), source, ready, bell)
    try:
        run(server)
    except SystemExit:
        if server.started or watch.error is None:
            raise
    if not server.started and watch.error is not None:
        return describe(watch.error, "app.py", while_serving=True)
    return None

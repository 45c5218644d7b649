"""The manager's process: one private Unix socket, typed requests only, stops without residue."""

import asyncio
import contextlib
import fcntl
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import structlog

from sandbox import answers, log, settings, wire
from sandbox.channel import peer_of
from sandbox.engines import Opened
from sandbox.layers.layers import Layers
from sandbox.layers.settings import IndexUrlError, make_settings
from sandbox.manager import MakeLayers, Manager
from sandbox.paths import RunPaths
from sandbox.runner.frames import HEADER, FrameError, body_length, decode_body, encode
from sandbox.runtimes.choose import choose
from sandbox.runtimes.fake import FakeRuntime
from sandbox.runtimes.packages import PackageMissingError
from sandbox.types import ManagerUnavailableError, SandboxError

_log = structlog.get_logger(__name__)

_IN_FLIGHT = 4096
_LOCK_SECONDS = 30.0
_BACKLOG = 512


class Connection:
    """One client. Requests are answered as they finish; nonsense ends this connection only."""

    def __init__(
        self, manager: Manager, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._manager = manager
        self._holder, _ = peer_of(writer.get_extra_info("socket"))
        self._reader = reader
        self._writer = writer
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(_IN_FLIGHT)

    async def serve(self) -> None:
        """Until the client leaves."""
        try:
            while True:
                message = await self._read()
                await self._slots.acquire()
                task = asyncio.create_task(self._answer(message))
                self._tasks.add(task)
                task.add_done_callback(self._finished)
        except FrameError as error:
            _log.warning("connection_refused", reason=str(error))
        except (asyncio.IncompleteReadError, OSError):
            pass  # the client left
        finally:
            for task in self._tasks:
                task.cancel()
            self._writer.transport.abort()

    async def _read(self) -> wire.Json:
        header = await self._reader.readexactly(HEADER.size)
        message = decode_body(await self._reader.readexactly(body_length(header)))
        if type(message.get("id")) is not int:
            raise FrameError("a request without a number")
        return message

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._slots.release()
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a_request_failed", exc_info=error)
            self._writer.transport.abort()

    async def _answer(self, message: wire.Json) -> None:
        answer: wire.Json = {"id": message["id"]}
        try:
            request = wire.parse_request(message)
            answer["ok"] = await perform(self._manager, request, self._holder)
        except (SandboxError, wire.BadRequestError) as error:
            answer["error"] = answers.error_json(error)
        with contextlib.suppress(OSError):
            # one write per frame, so frames of parallel answers never mix
            self._writer.write(encode(answer))
            await self._writer.drain()


async def perform(manager: Manager, request: wire.Request, holder: int = 0) -> Any:
    """Do what is asked; the answer is plain JSON. `holder` has the leases: the client's process."""
    match request:
        case wire.Acquire(spec, bundle):
            return answers.lease_json(await manager.acquire(spec, bundle, holder))
        case wire.Find(spec):
            return answers.lease_json(await manager.find(spec, holder))
        case wire.Renew(sandbox_ids):
            return await manager.renew(sandbox_ids, holder)
        case wire.Retire(sandbox_id):
            return await manager.retire(sandbox_id)
        case wire.Release(sandbox_id):
            return await manager.release(sandbox_id, holder)
        case wire.Describe(sandbox_id):
            return answers.document_json(await manager.document(sandbox_id))
        case wire.StopApi(api_id):
            return await manager.stop_api(api_id)
        case wire.Overdue(sandbox_id):
            return await manager.overdue(sandbox_id)
    return await _tell(manager, request)


async def _tell(manager: Manager, request: wire.Request) -> Any:
    """Of an API or of all, not of one sandbox."""
    match request:
        case wire.SetEgress(api_id, policy):
            return await manager.set_egress(api_id, policy)
        case wire.MakeLock(requirements):
            return answers.lock_json(await manager.lock(requirements))
        case wire.Sandboxes(api_id):
            return answers.sandboxes_json(manager.sandboxes(api_id))
        case wire.Logs(api_id, tail):
            return answers.logs_json(manager.logs(api_id, tail))
        case wire.GetStatus():
            return answers.status_json(manager.status())
    raise wire.BadRequestError("an operation that nobody performs")


@asynccontextmanager
async def listening(
    manager: Manager, path: Path, client_uids: Collection[int] = ()
) -> AsyncIterator[None]:
    """Accept clients of our own user and of `client_uids` at `path`, 0600."""
    allowed = {os.geteuid(), *client_uids}
    connections: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        task.add_done_callback(connections.discard)
        _, uid = peer_of(writer.get_extra_info("socket"))
        if uid not in allowed:
            _log.warning("connection_refused", reason="another user", uid=uid)
            writer.transport.abort()
            return
        await Connection(manager, reader, writer).serve()

    owner = next(iter(client_uids), None)
    server = await asyncio.start_unix_server(accept, sock=_private_socket(path, owner))
    try:
        yield
    finally:
        server.close()
        _remove(path)
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _private_socket(path: Path, owner: int | None) -> socket.socket:
    """Bound under another name first, so that it is never there with other rights than 0600.

    `owner` is the client's user when it is another than ours; ours is root's then, whom no
    mode keeps out.
    """
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(os.fspath(new))
    new.chmod(0o600)
    if owner is not None:
        os.chown(new, owner, -1, follow_symlinks=False)
    sock.listen(_BACKLOG)
    sock.setblocking(False)
    new.replace(path)
    return sock


async def serve(configuration: settings.ManagerSettings) -> None:
    """Until SIGTERM or SIGINT; then everything of ours is ended first."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    paths = RunPaths(configuration.run_dir)
    clients = configuration.client_uids
    paths.make(passable=bool(clients))
    make_layers = None if configuration.runtime == "fake" else layers_of(configuration)
    with await _only_manager(paths.lock):
        manager = Manager(
            lambda: open_runtimes(configuration), configuration, make_layers=make_layers
        )
        async with listening(manager, paths.manager_socket, clients):
            await _live(manager, stop)


def layers_of(configuration: settings.ManagerSettings) -> MakeLayers:
    """Dependencies by the installation's rules; raises IndexUrlError, PackageMissingError."""
    given = configuration.packages
    rules = make_settings(
        index_url=given.index_url,
        cooldown_days=given.cooldown_days,
        allow=given.allow,
        deny=given.deny,
    )
    return lambda builder, in_use: Layers(configuration.data_dir, rules, builder, in_use=in_use)


async def open_runtimes(configuration: settings.ManagerSettings) -> Opened:
    """The runtimes that the settings allow, prepared."""
    if configuration.runtime == "fake":
        return Opened((FakeRuntime(),), "in memory: answers calls itself and runs no code")
    chosen = await choose(
        configuration.runtime,
        configuration.data_dir,
        configuration.installation,
        base_image=configuration.base_image,
        floor=configuration.tier_floor,
    )
    return Opened(chosen.runtimes, chosen.detail, chosen.tiers)


async def _live(manager: Manager, stop: asyncio.Event) -> None:
    house = asyncio.create_task(manager.run())
    asked = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({house, asked}, return_when=asyncio.FIRST_COMPLETED)
        if house.done():
            house.result()  # ends by itself only through an error: let it end the process
    finally:
        for task in (house, asked):
            task.cancel()
        await asyncio.gather(house, asked, return_exceptions=True)
        await manager.close()


async def _only_manager(path: Path) -> Any:
    """The lock of this run directory; an old manager gets time to finish its stopping."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = asyncio.get_running_loop().time() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return _held(descriptor)
        except BlockingIOError:
            if asyncio.get_running_loop().time() > deadline:
                os.close(descriptor)
                raise ManagerUnavailableError(f"another manager holds {path}") from None
        await asyncio.sleep(0.05)


@contextmanager
def _held(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(descriptor)


def _allow_many_files() -> None:
    """Each sandbox takes about six descriptors; the usual soft limit would end at 150."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> int:
    """Entry of `python -m sandbox.server`."""
    configuration = settings.parse()
    _allow_many_files()
    try:
        with log.configure("manager"):
            asyncio.run(serve(configuration))
    except (ManagerUnavailableError, IndexUrlError, PackageMissingError) as error:
        _log.error("cannot_start", reason=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The gateway's way to the manager: typed calls over its socket, re-connecting by itself."""

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sandbox import answers, wire
from sandbox.runner.frames import HEADER, FrameError, body_length, decode_body, encode
from sandbox.types import (
    AppDocument,
    Bundle,
    EgressPolicy,
    Lease,
    Lock,
    LogLine,
    ManagerStatus,
    ManagerUnavailableError,
    SandboxSpec,
    SandboxStatus,
    StartFailedError,
    StartFailure,
)

_CALL_SECONDS = 10.0
_ACQUIRE_SECONDS = 60.0
_STOP_SECONDS = 40.0
_LOCK_SECONDS = 200.0  # resolving and building has 180 s of its own
_PAUSE_SECONDS = 0.05


class _Lost(Exception):  # noqa: N818 - never leaves this module
    """The connection ended; every operation may be asked again."""


class _Connection:
    """One connection and the answers it still owes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._waiting: dict[int, asyncio.Future[wire.Json]] = {}
        self._numbers = itertools.count(1)
        self._reader = asyncio.create_task(self._read(reader))

    @property
    def alive(self) -> bool:
        """Whether answers can still come."""
        return not self._reader.done()

    async def ask(self, message: wire.Json) -> wire.Json:
        """The answer to one request."""
        if not self.alive:
            raise _Lost
        number = next(self._numbers)
        future: asyncio.Future[wire.Json] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._writer.write(encode({"id": number, **message}))
            await self._writer.drain()
            return await future
        except OSError as error:
            raise _Lost from error
        finally:
            del self._waiting[number]
            if future.done() and not future.cancelled():
                future.exception()  # the write may have failed first; one of the two is enough

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                length = body_length(await reader.readexactly(HEADER.size))
                answer = decode_body(await reader.readexactly(length))
                future = self._waiting.get(answer.get("id", 0))
                if future is not None and not future.done():
                    future.set_result(answer)
        except (OSError, asyncio.IncompleteReadError, FrameError):
            pass  # whoever still waits is told below
        finally:
            self._writer.transport.abort()
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(_Lost())

    async def close(self) -> None:
        """End it; calls in flight fail."""
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader


class ManagerClient:
    """Raises what `sandbox.types` names; a manager that is away is tried again until a deadline."""

    def __init__(self, socket_path: Path | str) -> None:
        self._path = str(socket_path)
        self._connection: _Connection | None = None
        self._connecting = asyncio.Lock()
        self._closed = False

    async def acquire(
        self, spec: SandboxSpec, bundle: Bundle, *, seconds: float = _ACQUIRE_SECONDS
    ) -> Lease:
        """A lease on the sandbox of this spec, started when there is none."""
        message = {"op": "acquire", "spec": spec.to_json(), "bundle": bundle.to_json()}
        answer = await self._call(message, seconds)
        lease = answers.lease_from(answer)
        if lease is None:
            raise ManagerUnavailableError("the manager answered no lease")
        return lease

    async def find(self, spec: SandboxSpec, *, seconds: float = _CALL_SECONDS) -> Lease | None:
        """A lease only when such a sandbox is ready; a frozen one is thawed."""
        return answers.lease_from(await self._call({"op": "find", "spec": spec.to_json()}, seconds))

    async def renew(
        self, sandbox_ids: Sequence[str], *, seconds: float = _CALL_SECONDS
    ) -> dict[str, float]:
        """Seconds left for each that lives; a missing one is gone."""
        message = {"op": "renew", "sandbox_ids": list(sandbox_ids)}
        answer: dict[str, float] = await self._call(message, seconds)
        return answer

    async def retire(self, sandbox_id: str, *, seconds: float = _STOP_SECONDS) -> None:
        """Stop it; returns when it is gone."""
        await self._call({"op": "retire", "sandbox_id": sandbox_id}, seconds)

    async def release(self, sandbox_id: str, *, seconds: float = _STOP_SECONDS) -> None:
        """Send it no more calls; it stops once no other gateway has a lease on it either."""
        await self._call({"op": "release", "sandbox_id": sandbox_id}, seconds)

    async def document(self, sandbox_id: str, *, seconds: float = _STOP_SECONDS) -> AppDocument:
        """What the app in a sandbox says of its own interface."""
        answer = await self._call({"op": "document", "sandbox_id": sandbox_id}, seconds)
        return answers.document_from(answer)

    async def stop_api(self, api_id: str, *, seconds: float = _STOP_SECONDS) -> int:
        """Stop every sandbox of an API; how many there were."""
        return int(await self._call({"op": "stop_api", "api_id": api_id}, seconds))

    async def overdue(self, sandbox_id: str, *, seconds: float = _CALL_SECONDS) -> None:
        """A call passed its deadline: the sandbox is looked at, and ended if it does not answer."""
        await self._call({"op": "overdue", "sandbox_id": sandbox_id}, seconds)

    async def set_egress(
        self, api_id: str, policy: EgressPolicy, *, seconds: float = _CALL_SECONDS
    ) -> None:
        """Where the API's sandboxes may connect to from now on, the living ones too."""
        message = {"op": "set_egress", "api_id": api_id, "policy": policy.to_json()}
        await self._call(message, seconds)

    async def lock(self, requirements: Sequence[str], *, seconds: float = _LOCK_SECONDS) -> Lock:
        """Resolve dependencies and make their layer; DependencyError for their owner."""
        answer = await self._call({"op": "lock", "requirements": list(requirements)}, seconds)
        return answers.lock_from(answer)

    async def sandboxes(
        self, api_id: str, *, seconds: float = _CALL_SECONDS
    ) -> list[SandboxStatus]:
        """The API's living sandboxes and the last that ended, with the reason."""
        message = {"op": "sandboxes", "api_id": api_id}
        return answers.sandboxes_from(await self._call(message, seconds))

    async def logs(
        self, api_id: str, tail: int = 200, *, seconds: float = _CALL_SECONDS
    ) -> list[LogLine]:
        """Newest lines of the API, the last ended sandbox included."""
        message = {"op": "logs", "api_id": api_id, "tail": tail}
        return answers.logs_from(await self._call(message, seconds))

    async def status(self, *, seconds: float = _CALL_SECONDS) -> ManagerStatus:
        """The manager in one look."""
        return answers.status_from(await self._call({"op": "status"}, seconds))

    async def close(self) -> None:
        """Give up the connection; later calls fail."""
        self._closed = True
        if self._connection is not None:
            await self._connection.close()

    async def _call(self, message: wire.Json, seconds: float) -> Any:
        _refuse_giant(message)
        try:
            async with asyncio.timeout(seconds):
                answer = await self._ask_until_answered(message)
        except TimeoutError:
            raise ManagerUnavailableError(
                f"the sandbox manager did not answer within {seconds:g} s"
            ) from None
        if "error" in answer:
            raise answers.error_from(answer["error"])
        return answer["ok"]

    async def _ask_until_answered(self, message: wire.Json) -> wire.Json:
        """Every operation may be repeated, so a lost connection is no more than a pause."""
        while True:
            if self._closed:
                raise ManagerUnavailableError("this client is closed")
            try:
                return await (await self._connected()).ask(message)
            except _Lost:
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _connected(self) -> _Connection:
        async with self._connecting:
            if self._connection is None or not self._connection.alive:
                try:
                    reader, writer = await asyncio.open_unix_connection(self._path)
                except OSError as error:
                    raise _Lost from error
                self._connection = _Connection(reader, writer)
            return self._connection


def _refuse_giant(message: wire.Json) -> None:
    """Code that does not fit a frame is its author's mistake, not the manager's."""
    try:
        encode({"id": 2**53, **message})
    except FrameError as error:
        if message["op"] != "acquire":
            raise ValueError(str(error)) from error
        raise StartFailedError(StartFailure.SYNTAX, "the file is too large") from error

"""One sandbox from launch to gone: its status, its runner's words, its files."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from sandbox import verdicts
from sandbox.channel import Channel, ChannelClosedError, ControlDoor, bind
from sandbox.logbook import SandboxLog
from sandbox.paths import RunPaths
from sandbox.pool import Member, Status
from sandbox.readiness import NotReadyError, probe
from sandbox.reconcile import State, forget, write_state
from sandbox.runner.frames import Message
from sandbox.runtimes.base import Found, Handle, Launch, Runtime, RuntimeUnavailableError
from sandbox.types import Bundle, EndReason, Resources, SandboxSpec, StartFailedError, StartFailure

_SLACK_SECONDS = 1.0  # the runner knows best why time ran out; it is given the chance to say
_ADOPT_SECONDS = 5.0
_DESTROY_SECONDS = 20.0
_DRAIN_SECONDS = 1.0


class LaunchFailedError(Exception):
    """No blank came of it; the text says why."""


class BlankLostError(Exception):
    """The blank was gone before it took the code; another one may be tried."""


class EndedError(Exception):
    """The sandbox ended while something was expected of it."""


class Live:
    """One sandbox. `on_end` is called once when it ends by itself, whatever it was doing."""

    def __init__(
        self,
        sandbox_id: str,
        resources: Resources,
        runtime: Runtime,
        paths: RunPaths,
        on_end: Callable[["Live"], None],
    ) -> None:
        self.sandbox_id = sandbox_id
        self.resources = resources
        self.status = Status.LAUNCHING
        self.reserved = False
        self.spec: SandboxSpec | None = None
        self.born = 0.0
        self.renewed_at = 0.0
        self.end_reason = ""
        self.log = SandboxLog()
        self._runtime = runtime
        self._paths = paths
        self._on_end = on_end
        self._launching: asyncio.Task[Handle] | None = None
        self._handle: Handle | None = None
        self._channel: Channel | None = None
        self._reader: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.launched: asyncio.Task[None] | None = None
        self._accepted = False
        self._verdict: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gone = asyncio.Event()

    @property
    def socket_path(self) -> Path:
        """Where calls go once it is ready."""
        return self._paths.listener(self.sandbox_id)

    @property
    def public_status(self) -> str:
        """In the words of `SandboxStatus`."""
        return "starting" if self.status is Status.LAUNCHING else str(self.status)

    def names(self) -> dict[str, str]:
        """Ids for a log line."""
        names = {"sandbox_id": self.sandbox_id}
        if self.spec is not None:
            names |= {"api_id": self.spec.api_id, "version_id": self.spec.version_id}
        return names

    def member(self) -> Member:
        """As the pool's decisions see it."""
        return Member(self.sandbox_id, self.status, self.resources, self.reserved, self.renewed_at)

    # --- becoming a blank

    async def launch(self, installation: str, seconds: float) -> None:
        """Start it and wait until its runner is warm; LaunchFailedError when that fails."""
        try:
            async with asyncio.timeout(seconds):
                await self._launch(installation)
        except TimeoutError:
            raise LaunchFailedError(f"no runner reported within {seconds:g} s") from None
        except (RuntimeUnavailableError, ChannelClosedError, EndedError, OSError) as error:
            raise LaunchFailedError(str(error)) from error

    async def _launch(self, installation: str) -> None:
        door = ControlDoor(self._paths.control_socket(self.sandbox_id))
        try:
            launch = Launch(
                self.sandbox_id,
                self._paths.control_dir(self.sandbox_id),
                self.resources,
                {"sandgate.installation": installation, "sandgate.sandbox": self.sandbox_id},
            )
            self._launching = asyncio.create_task(self._runtime.launch(launch))
            # shielded: an engine that has begun must tell its handle, or it could not be removed
            self._handle = await asyncio.shield(self._launching)
            await self._first_hello(door, self._handle)
        finally:
            door.close()
        self._must_live()
        self.status = Status.BLANK

    def _must_live(self) -> None:
        if self._gone.is_set():
            raise EndedError(self.end_reason or "the sandbox was stopped")

    async def _first_hello(self, door: ControlDoor, handle: Handle) -> None:
        dialled = asyncio.create_task(self._greet(door, "blank", {}, runner_pid=None))
        ended = asyncio.create_task(handle.wait())
        try:
            await asyncio.wait({dialled, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not dialled.done():
                raise EndedError("the sandbox ended before its runner reported")
            self._begin(dialled.result(), handle)
        finally:
            await _cancel(dialled, ended)
            if self._channel is None and not dialled.cancelled() and not dialled.exception():
                dialled.result().close()

    async def _greet(
        self, door: ControlDoor, state: str, identity: Message, runner_pid: int | None
    ) -> Channel:
        """The connection of the runner itself; anybody else is turned away."""
        while True:
            channel = await door.accept()
            try:
                if runner_pid in (None, channel.peer_pid):
                    hello = await channel.receive()
                    wanted = {"type": "hello", "state": state, **identity}
                    if wanted.items() <= hello.items():
                        return channel
            except ChannelClosedError:
                pass
            except BaseException:
                channel.close()
                raise
            channel.close()

    def _begin(self, channel: Channel, handle: Handle) -> None:
        self._channel = channel
        self._handle = handle
        self._reader = asyncio.create_task(self._read(channel))
        self._watcher = asyncio.create_task(self._watch(handle, self._reader))

    # --- taking over

    async def adopt(self, found: Found, state: State) -> bool:
        """Take over a sandbox in service; False when it cannot be, then it is to be removed."""
        self.spec = state.spec
        identity = {"api_id": state.spec.api_id, "version_id": state.spec.version_id}
        door: ControlDoor | None = None
        try:
            async with asyncio.timeout(_ADOPT_SECONDS):
                handle = await self._runtime.adopt(found)
                if handle is None or not self._paths.control_dir(self.sandbox_id).is_dir():
                    return False
                self._handle = handle
                door = ControlDoor(self._paths.control_socket(self.sandbox_id))
                channel = await self._greet(door, "running", identity, state.runner_pid)
                self._begin(channel, handle)
                await probe(self.socket_path)
                self._must_live()
        except (TimeoutError, RuntimeUnavailableError, NotReadyError, EndedError, OSError):
            return False
        finally:
            if door is not None:
                door.close()
        self.status = Status.READY
        return True

    # --- getting code

    def reserve(self, spec: SandboxSpec) -> None:
        """From now on it belongs to this spec, even while it is still launching."""
        self.reserved = True
        self.spec = spec

    async def specialise(self, spec: SandboxSpec, bundle: Bundle, seconds: float) -> None:
        """Hand in the code and return when it answered a request.

        Raises StartFailedError for the owner, BlankLostError when code never got there.
        """
        if self.status is not Status.BLANK:
            raise BlankLostError(self.end_reason or "it is no blank any more")
        self.status = Status.STARTING
        try:
            async with asyncio.timeout(seconds + _SLACK_SECONDS):
                await self._specialise(spec, bundle, seconds)
        except TimeoutError:
            reason = f"it did not answer a first request within {seconds:g} seconds"
            raise self._with_log(StartFailedError(StartFailure.DEADLINE, reason)) from None
        except NotReadyError as error:
            raise self._with_log(
                await self._blame(StartFailedError(StartFailure.EXITED, str(error)))
            ) from error
        except (ChannelClosedError, EndedError) as error:
            if not self._accepted:
                raise BlankLostError(str(error)) from error
            failed = StartFailedError(StartFailure.EXITED, self.end_reason or str(error))
            raise self._with_log(await self._blame(failed)) from error
        except StartFailedError as error:
            raise self._with_log(await self._blame(error)) from error
        self.status = Status.READY

    async def _specialise(self, spec: SandboxSpec, bundle: Bundle, seconds: float) -> None:
        self._must_live()
        if self._channel is None:
            raise EndedError("it never had a runner")
        message = {
            "type": "specialise",
            "api_id": spec.api_id,
            "version_id": spec.version_id,
            "filename": "app.py",
            "code": bundle.code,
            "seconds": seconds,
        }
        listener = bind(self.socket_path)
        try:
            await self._channel.send(message, listener.fileno())
            await asyncio.shield(self._verdict)
            await probe(self.socket_path)
            self._must_live()
            write_state(self._paths, State(self.sandbox_id, spec, self._channel.peer_pid))
        finally:
            # only the sandbox holds it now: when it dies, connecting is refused at once
            listener.close()

    async def _blame(self, error: StartFailedError) -> StartFailedError:
        """An unexplained end may have been the kernel's, for memory."""
        if error.kind is not StartFailure.EXITED or self._handle is None:
            return error
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                end = await self._handle.end_reason()
        except (TimeoutError, RuntimeUnavailableError):
            return error
        if end is not EndReason.MEMORY:
            return error
        return verdicts.out_of_memory(error, self.resources)

    def _with_log(self, error: StartFailedError) -> StartFailedError:
        error.log = "\n".join(line.text for line in self.log.lines()[-100:])
        return error

    # --- listening to the runner

    async def _read(self, channel: Channel) -> None:
        try:
            while True:
                self._hear(await channel.receive())
        except ChannelClosedError as error:
            self._ended(str(error))

    def _hear(self, message: Message) -> None:
        """Everything here may have been written by user code: it only concerns itself."""
        match message.get("type"):
            case "log":
                self.log.add(*verdicts.log_line(message))
            case "specialising":
                self._accepted = True
            case "ready":
                self._decide(None)
            case "failed":
                error = verdicts.start_failure(message)
                self.end_reason = error.reason
                self._decide(error)
            case "exited":
                self.end_reason = verdicts.text(message.get("reason"))

    def _decide(self, error: Exception | None) -> None:
        if self._verdict.done():
            return
        if error is None:
            self._verdict.set_result(None)
            return
        self._verdict.set_exception(error)
        self._verdict.exception()  # looked at here, in case nobody waits any more

    async def _watch(self, handle: Handle, reader: asyncio.Task[None]) -> None:
        try:
            await handle.wait()
        except RuntimeUnavailableError:
            return  # the engine is away, not the sandbox; its channel tells
        await asyncio.wait({reader}, timeout=_DRAIN_SECONDS)
        self._ended("the sandbox ended")

    def _ended(self, reason: str) -> None:
        if self._gone.is_set():
            return
        self.end_reason = self.end_reason or reason
        self._gone.set()
        self._decide(EndedError(self.end_reason))
        self._on_end(self)

    # --- the end

    async def stop(self, seconds: float) -> None:
        """Let it end its own way for a while, then destroy it."""
        self.status = Status.STOPPING
        self.socket_path.unlink(missing_ok=True)
        if self._channel is not None and not self._gone.is_set():
            with contextlib.suppress(TimeoutError, ChannelClosedError):
                async with asyncio.timeout(seconds + _SLACK_SECONDS):
                    await self._channel.send({"type": "stop", "seconds": seconds})
                    await self._gone.wait()
        await self.destroy()

    async def destroy(self) -> None:
        """Remove every trace, from any state. When the engine refuses, call it again later."""
        self.status = Status.STOPPING
        self._gone.set()
        self._decide(EndedError("the sandbox was stopped"))
        forget(self._paths, self.sandbox_id)
        await _cancel(self.launched)
        await _cancel(self._reader, self._watcher)
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        async with asyncio.timeout(_DESTROY_SECONDS):
            handle = self._handle or await self._late_handle()
            if handle is not None:
                await handle.destroy()
        forget(self._paths, self.sandbox_id)  # what a launch still in flight has made since

    async def _late_handle(self) -> Handle | None:
        """The handle of a launch that was given up while the engine worked on it."""
        if self._launching is None:
            return None
        try:
            return await asyncio.shield(self._launching)
        except RuntimeUnavailableError:
            return None


async def _cancel(*tasks: "asyncio.Task[None] | asyncio.Task[Channel] | None") -> None:
    """Cancel and wait. Never called by one of these tasks itself."""
    living = [task for task in tasks if task is not None]
    for task in living:
        task.cancel()
    await asyncio.gather(*living, return_exceptions=True)

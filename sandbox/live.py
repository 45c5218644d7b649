"""One sandbox from launch to gone: its status, its channel, its files."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from pathlib import Path

from sandbox import verdicts
from sandbox.channel import ChannelClosedError, ControlDoor
from sandbox.faults import BlankLostError, EndedError, LaunchFailedError, MisfitError
from sandbox.frost import Frost
from sandbox.greeting import greet
from sandbox.hearing import Hearing
from sandbox.intake import Intake
from sandbox.logbook import SandboxLog
from sandbox.orders import Assignment, specialise_message
from sandbox.outlets import Outlets, Ways, bind_ways
from sandbox.paths import RunPaths
from sandbox.phases import Stopwatch
from sandbox.pool import Key, Member, Status
from sandbox.readiness import NotReadyError, probe
from sandbox.reconcile import State, forget
from sandbox.record import Record
from sandbox.runtimes.base import Found, Handle, Launch, Runtime, RuntimeUnavailableError
from sandbox.tether import Tether, cancelled
from sandbox.types import (
    EndReason,
    Resources,
    SandboxSpec,
    SandboxStatus,
    StartFailedError,
    StartFailure,
)

_SLACK_SECONDS = 1.0  # the runner knows best why time ran out; it is given the chance to say
_ADOPT_SECONDS = 5.0
_DESTROY_SECONDS = 20.0
_RESIZE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Shared:
    """What all sandboxes of a manager have in common.

    `on_end` is called once when one ends by itself, whatever it was doing. `client_uid` may
    send calls beside ourselves.
    """

    paths: RunPaths
    installation: str
    boot: str
    outlets: Outlets
    on_end: Callable[["Live"], None]
    client_uid: int | None = None


class Live:
    """One sandbox."""

    def __init__(
        self,
        sandbox_id: str,
        key: Key,
        resources: Resources,
        runtime: Runtime,
        shared: Shared,
        layer: Path | None = None,
    ) -> None:
        self.sandbox_id = sandbox_id
        self.key = key
        self.resources = resources
        self.layer = layer
        self.runtime = runtime
        self.status = Status.LAUNCHING
        self.reserved = False
        self.spec: SandboxSpec | None = None
        self.born = 0.0
        self.ready_at = 0.0
        self.renewed_at = 0.0
        self.worn_at = 0.0
        self.memory: int | None = None  # when it was last looked at
        self.baseline: int | None = None  # memory it used when it became ready
        self.end: EndReason | None = None
        self.end_words = ""
        self.log = SandboxLog()
        self.hearing = Hearing(self.log)
        self.frost = Frost()
        self.launched: asyncio.Task[None] | None = None
        self.record = Record(shared.paths)
        self._shared = shared
        self._paths = shared.paths
        self._ways: Ways | None = None
        self._launching: asyncio.Task[Handle] | None = None
        self.tether = Tether(self.hearing, self._on_end)
        self.document = self.tether.document
        self._intake = Intake(
            self.socket_path,
            shared.paths.control_dir(sandbox_id),
            shared.client_uid,
            relayed=not runtime.takes_descriptors,
        )

    @property
    def socket_path(self) -> Path:
        """Where calls go once it is ready."""
        return self._paths.listener(self.sandbox_id)

    @property
    def public_status(self) -> str:
        """In the words of `SandboxStatus`."""
        match self.status:
            case Status.LAUNCHING:
                return "starting"
            case Status.WORN:
                return "stopping"
            case Status.READY if self.frost.frozen:
                return "frozen"
        return str(self.status)

    @property
    def tenant_id(self) -> str:
        """Whose share of the machine it uses."""
        return self.spec.tenant_id if self.spec else ""

    @property
    def has_lease(self) -> bool:
        """False for builders: they are used until they are thrown away."""
        return self.renewed_at != inf

    def names(self) -> dict[str, str]:
        """Ids for a line of the log."""
        known = {} if self.spec is None else self.spec.log_context()
        return {"sandbox_id": self.sandbox_id} | known

    def describe(self, now: float) -> SandboxStatus:
        """For those who ask."""
        return SandboxStatus(
            self.sandbox_id,
            self.spec,
            "ended" if self.end else self.public_status,
            now - self.born,
            self.key.tier,
            self.memory,
            self.end,
            self.end_words,
        )

    def member(self) -> Member:
        """As the pool's decisions see it."""
        return Member(
            self.sandbox_id,
            self.status,
            self.resources,
            self.reserved,
            self.renewed_at,
            self.key,
            self.tenant_id,
            self.frost.frozen,
            self.runtime.can_freeze and not self.frost.refused,
        )

    # --- becoming a blank

    async def launch(self, seconds: float) -> None:
        """Start it and wait until its runner is warm; LaunchFailedError when that fails."""
        try:
            async with asyncio.timeout(seconds):
                await self._launch()
        except TimeoutError:
            raise LaunchFailedError(f"no runner reported within {seconds:g} s") from None
        except (RuntimeUnavailableError, ChannelClosedError, EndedError, OSError) as error:
            raise LaunchFailedError(str(error)) from error

    async def _launch(self) -> None:
        folder = self._paths.control_dir(self.sandbox_id)
        door = ControlDoor(self._paths.control_socket(self.sandbox_id))
        try:
            self._ways = bind_ways(folder)
            self._intake.prepare()
            labels = {
                "sandgate.installation": self._shared.installation,
                "sandgate.sandbox": self.sandbox_id,
                "sandgate.tier": str(self.key.tier),
            }
            launch = Launch(
                self.sandbox_id, folder, self.resources, labels, self.layer, self.reserved
            )
            self._launching = asyncio.create_task(self.runtime.launch(launch))
            # shielded: an engine that has begun must tell its handle, or it could not be removed
            handle = await asyncio.shield(self._launching)
            await self.tether.first_hello(door, handle)
        finally:
            door.close()
        self.tether.must_live()
        self.status = Status.BLANK

    # --- taking over

    async def adopt(self, found: Found, state: State) -> bool:
        """Take over a sandbox in service; False when it cannot be, then it is to be removed."""
        self.spec = state.spec
        identity = {"api_id": state.spec.api_id, "version_id": state.spec.version_id}
        folder = self._paths.control_dir(self.sandbox_id)
        door: ControlDoor | None = None
        try:
            async with asyncio.timeout(_ADOPT_SECONDS):
                handle = await self.runtime.adopt(found)
                if handle is None or not folder.is_dir():
                    return False
                self.tether.handle = handle
                await handle.thaw()  # only who runs can dial
                door = ControlDoor(self._paths.control_socket(self.sandbox_id))
                self._ways = bind_ways(folder)
                channel = await greet(door, "running", identity, state.runner_pid)
                self.tether.begin(channel, handle)
                if not self.runtime.takes_descriptors:
                    await self._take_calls()
                await probe(self.socket_path)
                self.tether.must_live()
        except (TimeoutError, RuntimeUnavailableError, NotReadyError, EndedError, OSError):
            return False
        finally:
            if door is not None:
                door.close()
        self._shared.outlets.open(self.sandbox_id, state.spec.api_id, self._ways, state.policy)
        self.record.adopted(state)
        self.status = Status.READY
        return True

    async def _take_calls(self) -> None:
        """Relay again: what the earlier manager relayed with is gone."""
        self._intake.prepare()
        await self._intake.open()
        self._intake.handed_over()

    # --- getting code

    def reserve(self, spec: SandboxSpec) -> None:
        """From now on it belongs to this spec, even while it is still launching."""
        self.reserved = True
        self.spec = spec

    async def specialise(self, order: Assignment, watch: Stopwatch) -> None:
        """Hand in the code and return when it answered a request.

        Raises StartFailedError for the owner, BlankLostError when code never got there.
        """
        if self.status is not Status.BLANK:
            raise BlankLostError(self.hearing.reason or "it is no blank any more")
        self.status = Status.STARTING
        try:
            async with asyncio.timeout(order.seconds + _SLACK_SECONDS):
                await self._specialise(order, watch)
        except TimeoutError:
            reason = f"it did not answer a first request within {order.seconds:g} seconds"
            raise self._with_log(StartFailedError(StartFailure.DEADLINE, reason)) from None
        except NotReadyError as error:
            raise self._with_log(
                await self._blame(StartFailedError(StartFailure.EXITED, str(error)))
            ) from error
        except (ChannelClosedError, EndedError, RuntimeUnavailableError) as error:
            if not self.hearing.accepted:
                raise BlankLostError(str(error)) from error
            failed = StartFailedError(StartFailure.EXITED, self.hearing.reason or str(error))
            raise self._with_log(await self._blame(failed)) from error
        except StartFailedError as error:
            raise self._with_log(await self._blame(error)) from error
        self.status = Status.READY

    async def _specialise(self, order: Assignment, watch: Stopwatch) -> None:
        self.tether.must_live()
        if self._ways is None:
            raise EndedError("it was never launched")
        await self._fit(order.spec.resources)
        order.open_ways(self._shared.outlets, self.sandbox_id, self._ways)
        message = specialise_message(order, self.runtime.takes_descriptors)
        descriptor = await self._intake.open()
        try:
            await self.tether.send(message, descriptor)
            await asyncio.shield(self.hearing.verdict)
            watch.lap("code")
            await probe(self.socket_path)
            watch.lap("ready")
            self.tether.must_live()
            self.record.write(self._state(order))
        finally:
            self._intake.handed_over()

    async def _fit(self, resources: Resources) -> None:
        """Give it the limits it is to have, when it was launched with others."""
        handle = self.tether.handle
        if resources == self.resources or handle is None:
            return
        try:
            async with asyncio.timeout(_RESIZE_SECONDS):
                await handle.resize(resources)
        except (TimeoutError, RuntimeUnavailableError) as error:
            raise MisfitError(str(error) or "the engine did not resize it in time") from error
        self.resources = resources

    def _state(self, order: Assignment) -> State:
        return State(
            self.sandbox_id,
            order.spec,
            self.tether.runner_pid,
            self._shared.boot,
            time.time(),
            self.key.tier,
            order.bundle.egress.hosts,
            lacks_secrets=bool(order.bundle.egress.placeholders),
        )

    async def _blame(self, error: StartFailedError) -> StartFailedError:
        """An unexplained end may have been the kernel's, for memory."""
        if error.kind is not StartFailure.EXITED:
            return error
        killed = await self.tether.kernels_word() is EndReason.MEMORY
        return verdicts.out_of_memory(error, self.resources) if killed else error

    def _with_log(self, error: StartFailedError) -> StartFailedError:
        error.log = "\n".join(line.text for line in self.log.lines()[-100:])
        return error

    # --- in service

    async def freeze(self, still_wanted: Callable[[], bool]) -> bool:
        """Freeze it unless it got a lease meanwhile; RuntimeUnavailableError."""
        handle = self.tether.handle
        if handle is None or self.status is not Status.READY:
            return False
        return await self.frost.freeze(handle, still_wanted)

    async def thaw(self) -> bool:
        """Let it go on; whether it was frozen. RuntimeUnavailableError when it cannot."""
        handle = self.tether.handle
        return handle is not None and await self.frost.thaw(handle)

    def _on_end(self) -> None:
        self._intake.end()
        self._shared.on_end(self)

    def lost(self, reason: str) -> None:
        """Somebody else saw that it is not there any more."""
        self.tether.ended(reason)

    async def explain_end(self) -> None:
        """Why it ended by itself: the kernel's word counts most, then the runner's."""
        self.end = await self.tether.kernels_word() or self.hearing.end or EndReason.CRASH
        self.end_words = verdicts.in_words(self.end, self.hearing.reason, self.resources)

    # --- the end

    async def stop(self, seconds: float) -> None:
        """Let it end its own way for a while, then destroy it."""
        self.status = Status.STOPPING
        self.socket_path.unlink(missing_ok=True)
        with contextlib.suppress(TimeoutError, ChannelClosedError, RuntimeUnavailableError):
            await self.thaw()  # only who runs can shut down
            await self.tether.stop(seconds)
        await self.destroy()

    async def destroy(self) -> None:
        """Remove every trace, from any state. When the engine refuses, call it again later."""
        self.status = Status.STOPPING
        self.tether.gone.set()
        self.hearing.decide(EndedError("the sandbox was stopped"))
        self._let_go()
        await cancelled(self.launched)
        await self.tether.let_go()
        await self._intake.close()
        async with asyncio.timeout(_DESTROY_SECONDS), self.frost.undisturbed():
            handle = self.tether.handle or await self._late_handle()
            if handle is not None:
                await handle.destroy()
        self._let_go()  # what a launch still in flight has made since

    def _let_go(self) -> None:
        """Files and listeners."""
        self._shared.outlets.close(self.sandbox_id)
        if self._ways is not None:
            self._ways.close()
        forget(self._paths, self.sandbox_id)

    async def _late_handle(self) -> Handle | None:
        """The handle of a launch that was given up while the engine worked on it."""
        if self._launching is None:
            return None
        try:
            return await asyncio.shield(self._launching)
        except RuntimeUnavailableError:
            return None

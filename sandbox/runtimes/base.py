"""What every runtime offers; docker, bubblewrap and fake are siblings of this protocol."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from sandbox.types import EndReason, Resources, Tier


class RuntimeUnavailableError(Exception):
    """The engine does not answer or a program is missing; text says what to do."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What the manager asks a runtime to start: a blank, nothing of a user in it.

    `control_dir` holds the sockets that the sandbox may dial, `control.sock` first. It
    appears read-only inside as `/ctl`, and so does `layer`, a folder of installed
    packages, as `/layer`. Labels let a later manager find the sandbox. `is_awaited`: code
    waits for it, so it does not practise first.
    """

    sandbox_id: str
    control_dir: Path
    resources: Resources
    labels: dict[str, str]
    layer: Path | None = None
    is_awaited: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A sandbox that lives on the host although this manager did not start it."""

    sandbox_id: str
    labels: dict[str, str]
    alive: bool


class Throttling(NamedTuple):
    """How many of its processor periods so far it ran in, and in how many it was stopped."""

    periods: int
    throttled: int


class Handle(Protocol):
    """One started sandbox."""

    @property
    def sandbox_id(self) -> str:
        """The id given at launch."""
        ...

    async def wait(self) -> None:
        """Return when the sandbox has ended, whoever ended it."""
        ...

    async def end_reason(self) -> EndReason | None:
        """MEMORY or SYSCALL when the kernel ended something in it for that; else None."""
        ...

    async def freeze(self) -> None:
        """Stop all its processes where they are. Frozen already: nothing happens.

        RuntimeUnavailableError when it cannot be, or is gone.
        """
        ...

    async def thaw(self) -> None:
        """Let its processes go on; RuntimeUnavailableError when they cannot."""
        ...

    async def resize(self, resources: Resources) -> None:
        """Give a blank other limits (memory, cpus, pids) before it gets its code."""
        ...

    async def memory_bytes(self) -> int | None:
        """What it uses now; None when this runtime cannot know."""
        ...

    async def throttling(self) -> Throttling | None:
        """How it fares with its share of the processors; None when this runtime cannot know."""
        ...

    async def confine(self, cores: frozenset[int]) -> None:
        """Keep all its processes to these processors; RuntimeUnavailableError when it cannot."""
        ...

    async def destroy(self) -> None:
        """End it at once and remove every trace. Safe to call twice, from any state."""
        ...


class Runtime(Protocol):
    """Starts and finds sandboxes. Knows no API, version or code.

    `takes_descriptors`: a listener can be handed in; where not, the runner dials out for
    every call. `can_freeze`: known once it is prepared.
    """

    name: str
    tier: Tier
    takes_descriptors: bool

    @property
    def can_freeze(self) -> bool:
        """Whether its handles can be frozen here."""
        ...

    async def prepare(self) -> None:
        """Make what launches need (image, runner root). Raises RuntimeUnavailableError."""
        ...

    async def check(self) -> tuple[str, ...]:
        """Names of hardening this host cannot give; RuntimeUnavailableError when down."""
        ...

    async def launch(self, launch: Launch) -> Handle:
        """Start a blank; returns when the engine has started it, not when the runner dialled."""
        ...

    async def find(self, installation: str) -> list[Found]:
        """All sandboxes on this host that carry the label `sandgate.installation`."""
        ...

    async def adopt(self, found: Found) -> Handle | None:
        """Take a living one over, thawed; None when this runtime cannot: remove it then."""
        ...

    async def remove(self, found: Found) -> None:
        """Remove a stray and every trace of it."""
        ...

    async def close(self) -> None:
        """Give up the connection to the engine; sandboxes stay."""
        ...

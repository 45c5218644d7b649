"""Values that gateway, manager and runtimes share; the only vocabulary that crosses the socket."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Tier(StrEnum):
    """Isolation level, strongest first."""

    VM = "vm"
    GVISOR = "gvisor"
    RUNC = "runc"
    BWRAP = "bwrap"
    NONE = "none"  # the in-memory double


@dataclass(frozen=True, slots=True)
class Resources:
    """What one sandbox may use. Memory has no swap beside it."""

    memory_mb: int = 256
    cpus: float = 1.0
    pids: int = 128
    tmp_mb: int = 64


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """Identity of a sandbox: equal specs share one, a different spec gets another.

    `generation` grows with every reload, so that a reload is simply a new spec.
    """

    api_id: str
    version_id: str
    generation: int = 1
    resources: Resources = Resources()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "SandboxSpec":
        """Inverse of `to_json`; raises KeyError, TypeError or ValueError on anything else."""
        return cls(
            api_id=str(value["api_id"]),
            version_id=str(value["version_id"]),
            generation=int(value["generation"]),
            resources=Resources(**value["resources"]),
        )


@dataclass(frozen=True, slots=True)
class Lease:
    """Permission to send calls to one sandbox until a time.

    `seconds` counts from the moment the answer arrived; renew before it ends.
    """

    sandbox_id: str
    socket_path: str
    seconds: float
    runtime: str
    tier: Tier


class StartFailure(StrEnum):
    """Why user code did not come up."""

    SYNTAX = "syntax_error"
    NO_APP = "no_app"
    IMPORT = "import_error"  # a module that is not installed
    EXCEPTION = "exception"  # raised while the module ran
    LIFESPAN = "lifespan"  # raised in the app's own start-up
    DEADLINE = "deadline"
    MEMORY = "memory"
    EXITED = "exited"  # the process ended by itself or by a signal


class SandboxError(Exception):
    """Base of what the manager answers instead of a lease."""


class StartFailedError(SandboxError):
    """The user's code did not start. All fields are for its owner to read."""

    def __init__(
        self,
        kind: StartFailure,
        reason: str,
        *,
        file: str = "app.py",
        line: int | None = None,
        traceback: str = "",
        log: str = "",
    ) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.file = file
        self.line = line
        self.traceback = traceback
        self.log = log


class ManagerUnavailableError(SandboxError):
    """The manager, or the engine behind it, does not answer; try again."""


class CapacityError(SandboxError):
    """Every sandbox this machine may run is in use."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that user code wrote. `at` is Unix time in seconds."""

    at: float
    stream: str  # "stdout" or "stderr"
    text: str


@dataclass(frozen=True, slots=True)
class SandboxStatus:
    """One sandbox as the manager sees it."""

    sandbox_id: str
    spec: SandboxSpec | None  # None for a blank
    status: str  # blank, starting, ready, stopping
    age_seconds: float


@dataclass(frozen=True, slots=True)
class ManagerStatus:
    """The manager in one look. `missing` names hardening this host cannot give."""

    runtime: str
    tier: Tier
    engine_ok: bool
    detail: str
    missing: tuple[str, ...]
    sandboxes: tuple[SandboxStatus, ...]

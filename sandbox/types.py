"""Values that gateway, manager and runtimes share; the only vocabulary that crosses the socket."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

USER_CODE: Final = "user_code"  # in a line of the log: a fault that is not ours


class Tier(StrEnum):
    """Isolation level, strongest first."""

    VM = "vm"
    GVISOR = "gvisor"
    RUNC = "runc"
    BWRAP = "bwrap"
    NONE = "none"  # the in-memory double

    def reaches(self, floor: "Tier | None") -> bool:
        """Whether it isolates at least as well as `floor`; None asks for nothing."""
        order = list(Tier)
        return floor is None or order.index(self) <= order.index(floor)


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

    `generation` grows with every reload, so that a reload is simply a new spec; `instance`
    tells apart several sandboxes of one version. `tenant_id` is whose share of the machine it
    uses, `floor` the weakest tier it may run in, `layer` the digest of its dependencies or
    empty.
    """

    api_id: str
    version_id: str
    generation: int = 1
    resources: Resources = Resources()
    instance: int = 0
    tenant_id: str = ""
    floor: Tier | None = None
    layer: str = ""

    def log_context(self) -> dict[str, str]:
        """Its ids for a line of the log."""
        ids = {"api_id": self.api_id, "version_id": self.version_id, "tenant_id": self.tenant_id}
        return {name: value for name, value in ids.items() if value}

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
            instance=int(value.get("instance", 0)),
            tenant_id=str(value.get("tenant_id", "")),
            floor=Tier(value["floor"]) if value.get("floor") else None,
            layer=str(value.get("layer", "")),
        )


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A secret that never enters the sandbox: the door puts it in for these hosts only."""

    value: str
    hosts: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Placeholder(value=…, hosts={self.hosts})"


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """Where a sandbox may connect to: `host`, `host:port` or `*.domain`; nowhere by default.

    `placeholders` maps the text that the code sees to the secret behind it.
    """

    hosts: tuple[str, ...] = ()
    placeholders: Mapping[str, Placeholder] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form; it contains the secrets."""
        return {
            "hosts": list(self.hosts),
            "placeholders": {
                text: {"value": one.value, "hosts": list(one.hosts)}
                for text, one in self.placeholders.items()
            },
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "EgressPolicy":
        """Inverse of `to_json`; raises KeyError, TypeError or ValueError on anything else."""
        return cls(
            hosts=tuple(str(host) for host in value["hosts"]),
            placeholders={
                str(text): Placeholder(str(one["value"]), tuple(str(h) for h in one["hosts"]))
                for text, one in value["placeholders"].items()
            },
        )


@dataclass(frozen=True, slots=True)
class Bundle:
    """What is handed to a sandbox when it gets its code; none of it is part of its identity.

    `environment` is set in the app's own process alone. `lock` is the text that `spec.layer`
    is the digest of, so that a lost layer can be made again.
    """

    code: str
    environment: Mapping[str, str] = field(default_factory=dict)
    egress: EgressPolicy = EgressPolicy()
    lock: str = ""

    def __repr__(self) -> str:
        return f"Bundle({len(self.code)} characters, {len(self.environment)} variables)"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form; it contains the secrets."""
        return {
            "code": self.code,
            "environment": dict(self.environment),
            "egress": self.egress.to_json(),
            "lock": self.lock,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Bundle":
        """Inverse of `to_json`; raises KeyError, TypeError or ValueError on anything else."""
        environment = value["environment"]
        return cls(
            code=str(value["code"]),
            environment={str(name): str(text) for name, text in environment.items()},
            egress=EgressPolicy.from_json(value["egress"]),
            lock=str(value["lock"]),
        )


@dataclass(frozen=True, slots=True)
class Lock:
    """Dependencies resolved to exact versions with hashes. `digest` names the layer of them."""

    digest: str
    text: str
    packages: tuple[str, ...]  # "name==version", sorted


@dataclass(frozen=True, slots=True)
class StartTimes:
    """Seconds each phase of a start took, and whether a warm blank was there."""

    queued: float  # until it was this start's turn
    claimed: float  # until a runner was there to take the code
    code: float  # until the app had started up
    ready: float  # until a first request was answered
    is_warm: bool


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
    times: StartTimes | None = None  # of the start that this very request made


@dataclass(frozen=True, slots=True)
class AppDocument:
    """The OpenAPI document that an app made of itself: hostile text, exactly as it came.

    Empty when there is none; `note` says why.
    """

    text: str
    note: str = ""


class EndReason(StrEnum):
    """Why a sandbox ended."""

    STOPPED = "stopped"  # retired, replaced, paused or deleted
    IDLE = "idle"
    EVICTED = "evicted"  # made room for another
    WORN = "worn"  # replaced before its age or memory could hurt
    MEMORY = "memory"
    CPU = "cpu"
    DEADLINE = "deadline"
    SYSCALL = "syscall"  # killed for a system call that nobody may make
    CRASH = "crash"

    def log_context(self) -> dict[str, str]:
        """For a line of the log, with whose fault it is when it is not ours."""
        return {"end": str(self)} | ({"fault": USER_CODE} if self in _USER_ENDS else {})


_USER_ENDS = frozenset(
    {EndReason.MEMORY, EndReason.CPU, EndReason.DEADLINE, EndReason.SYSCALL, EndReason.CRASH}
)


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


class TierUnavailableError(SandboxError):
    """This machine offers no tier as strong as the one that was asked for."""


class CrashLoopError(SandboxError):
    """It keeps crashing and is left alone for a while. For its owner to read."""

    def __init__(self, reason: str, *, end: EndReason, crashes: int, retry_seconds: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.end = end
        self.crashes = crashes
        self.retry_seconds = retry_seconds


class DependencyError(SandboxError):
    """The dependencies cannot be had as they were asked for. The text is for their owner."""

    def __init__(self, reason: str, *, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


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
    status: str  # blank, starting, ready, frozen, stopping, ended
    age_seconds: float
    tier: Tier = Tier.NONE
    memory_bytes: int | None = None
    end: EndReason | None = None  # of one that has ended
    reason: str = ""  # the same in words


@dataclass(frozen=True, slots=True)
class TierStatus:
    """One tier on this machine: there, or why not."""

    tier: Tier
    runtime: str
    is_available: bool
    detail: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """Counts since the manager started: how starts found the pool, how sandboxes ended."""

    warm_starts: int = 0
    cold_starts: int = 0
    failed_starts: int = 0
    thaws: int = 0
    ends: Mapping[str, int] = field(default_factory=dict)  # by EndReason


@dataclass(frozen=True, slots=True)
class ManagerStatus:
    """The manager in one look. `missing` names hardening this host cannot give."""

    runtime: str
    tier: Tier
    engine_ok: bool
    detail: str
    missing: tuple[str, ...]
    sandboxes: tuple[SandboxStatus, ...]
    tiers: tuple[TierStatus, ...] = ()
    pool: PoolStatus = PoolStatus()

"""What the use cases need from the outside, as small protocols, and the bundle they receive."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.auth.issuer.mail import Outbox
from gateway.key_hashes import HashSecrets
from gateway.limits.types import Limit, LimitState
from gateway.operations.generation import Generation
from gateway.operations.mail import Mailer, OutboxMail
from gateway.operations.turns import Turns
from gateway.store.bundles import BundleStore
from gateway.store.database import Database
from sandbox.types import (
    AppDocument,
    Bundle,
    EgressPolicy,
    Lease,
    Lock,
    LogLine,
    ManagerStatus,
    SandboxSpec,
    SandboxStatus,
)


class Sandboxes(Protocol):
    """The manager; every method may raise `sandbox.types.SandboxError`."""

    async def acquire(self, spec: SandboxSpec, bundle: Bundle) -> Lease:
        """A lease on a sandbox of this spec, started when none lives."""
        ...

    async def find(self, spec: SandboxSpec) -> Lease | None:
        """A lease when such a sandbox lives."""
        ...

    async def retire(self, sandbox_id: str) -> None:
        """Stop one sandbox now."""
        ...

    async def document(self, sandbox_id: str) -> AppDocument:
        """What the app in a sandbox says of its own interface."""
        ...

    async def stop_api(self, api_id: str) -> int:
        """Stop every sandbox of an API."""
        ...

    async def logs(self, api_id: str, tail: int = 200) -> Sequence[LogLine]:
        """Last lines that the API wrote."""
        ...

    async def set_egress(self, api_id: str, policy: EgressPolicy) -> None:
        """Where the API's sandboxes may connect to from now on, the living ones too."""
        ...

    async def lock(self, requirements: Sequence[str]) -> Lock:
        """Resolve dependencies and make their layer; this may take minutes."""
        ...

    async def sandboxes(self, api_id: str) -> Sequence[SandboxStatus]:
        """The API's living sandboxes, and the last ones that ended."""
        ...

    async def status(self) -> ManagerStatus:
        """The manager in one look."""
        ...


class Changes(Protocol):
    """Announces a committed change to every cache in this process, before it returns."""

    def publish(self, kind: str, identifier: str, /) -> None:
        """`kind` is api, key, tenant, plan or all."""
        ...


class Clock(Protocol):
    """Unix time in seconds."""

    def __call__(self) -> float:
        """Now."""
        ...


class LiveUsage(Protocol):
    """The limiter's counters, looked at without counting a call."""

    async def usage_of(self, limits: Sequence[Limit]) -> Sequence[LimitState]:
        """State of each limit, in the same order."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """Everything the use cases act through. `hash_secrets`: for the hashes of keys."""

    database: Database
    bundles: BundleStore
    sandboxes: Sandboxes
    changes: Changes
    usage: LiveUsage
    clock: Clock
    hash_secrets: Callable[[], HashSecrets]
    code_bytes: int
    turns: Turns = field(default_factory=Turns)
    mailer: Mailer = field(default_factory=lambda: OutboxMail(Outbox(None)))
    impersonates: bool = True  # whether sessions are ours
    generation: Generation = field(default_factory=Generation)

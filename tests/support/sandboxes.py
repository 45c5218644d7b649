"""Sandboxes in memory: what the manager would answer, programmable to fail."""

import asyncio
from collections.abc import Sequence

from sandbox.types import (
    AppDocument,
    Bundle,
    EgressPolicy,
    Lease,
    Lock,
    LogLine,
    ManagerStatus,
    SandboxError,
    SandboxSpec,
    SandboxStatus,
    StartFailedError,
    StartFailure,
    Tier,
    TierStatus,
)

GOOD = "from fastapi import FastAPI\napp = FastAPI()\n"
BROKEN = "def broken(:\n"


class MemorySandboxes:
    """Code that contains `broken` does not start; everything else does, unless told otherwise."""

    def __init__(self) -> None:
        self.running: dict[SandboxSpec, str] = {}
        self.lines: dict[str, list[LogLine]] = {}
        self.fails: SandboxError | None = None  # every call answers this
        self.starting = asyncio.Event()  # set when a start begins
        self.gate = asyncio.Event()  # starts end when it is set
        self.gate.set()
        self.acquired: list[SandboxSpec] = []
        self.bundles: dict[SandboxSpec, Bundle] = {}  # what each was started with
        self.policies: dict[str, EgressPolicy] = {}  # by API, as told last
        self.egress_gate = asyncio.Event()  # policies arrive while it is set
        self.egress_gate.set()
        self.tiers: tuple[TierStatus, ...] = ()
        self.ended: list[SandboxStatus] = []
        self.refused_environment: set[str] = set()  # code that gets one of these does not start
        self.start_fails: StartFailedError | None = None
        self.locks: dict[tuple[str, ...], Lock | SandboxError] = {}
        self.stopped: list[str] = []
        self.document_said = AppDocument("", "no app was asked")
        self.document_fails: SandboxError | None = None
        self.missing: tuple[str, ...] = ()
        self.engine_ok = True

    def of(self, api_id: str) -> list[SandboxSpec]:
        """What lives of one API."""
        return [spec for spec in self.running if spec.api_id == api_id]

    async def acquire(self, spec: SandboxSpec, bundle: Bundle) -> Lease:
        """Start or find."""
        self.acquired.append(spec)
        self.starting.set()
        await asyncio.wait_for(self.gate.wait(), 10)
        self._refuse()
        if self.start_fails is not None:
            raise self.start_fails
        if "broken" in bundle.code or self.refused_environment & bundle.environment.keys():
            raise StartFailedError(
                StartFailure.SYNTAX,
                "invalid syntax",
                line=1,
                traceback="SyntaxError: invalid syntax",
                log="a line \udc80 of its own",
            )
        if spec not in self.running:
            self.running[spec] = f"box-{len(self.acquired)}"
            self.bundles[spec] = bundle
        return self._lease(spec)

    async def find(self, spec: SandboxSpec) -> Lease | None:
        """Only what lives."""
        self._refuse()
        return self._lease(spec) if spec in self.running else None

    async def retire(self, sandbox_id: str) -> None:
        """Stop one."""
        self._refuse()
        for spec, name in list(self.running.items()):
            if name == sandbox_id:
                del self.running[spec]

    async def document(self, sandbox_id: str) -> AppDocument:
        """What the test put there, of one that lives."""
        self._refuse()
        if self.document_fails is not None:
            raise self.document_fails
        assert sandbox_id in self.running.values()
        return self.document_said

    async def stop_api(self, api_id: str) -> int:
        """Stop all of an API."""
        self._refuse()
        self.stopped.append(api_id)
        ended = self.of(api_id)
        for spec in ended:
            del self.running[spec]
        return len(ended)

    async def set_egress(self, api_id: str, policy: EgressPolicy) -> None:
        """Remember it."""
        await asyncio.wait_for(self.egress_gate.wait(), 10)
        self._refuse()
        self.policies[api_id] = policy

    async def lock(self, requirements: Sequence[str]) -> Lock:
        """What the test put there for these."""
        self._refuse()
        found = self.locks[tuple(requirements)]
        if isinstance(found, SandboxError):
            raise found
        return found

    async def sandboxes(self, api_id: str) -> Sequence[SandboxStatus]:
        """Those that ended, then those that live."""
        self._refuse()
        living = [
            SandboxStatus(name, spec, "ready", 1.0, memory_bytes=1000)
            for spec, name in self.running.items()
            if spec.api_id == api_id
        ]
        return [*self.ended, *living]

    async def logs(self, api_id: str, tail: int = 200) -> Sequence[LogLine]:
        """The last lines."""
        self._refuse()
        return self.lines.get(api_id, [])[-tail:]

    async def status(self) -> ManagerStatus:
        """All that lives."""
        self._refuse()
        boxes = tuple(
            SandboxStatus(name, spec, "ready", 1.0) for spec, name in self.running.items()
        )
        return ManagerStatus(
            "fake", Tier.NONE, self.engine_ok, "engine gone", self.missing, boxes, self.tiers
        )

    def _refuse(self) -> None:
        if self.fails is not None:
            raise self.fails

    def _lease(self, spec: SandboxSpec) -> Lease:
        name = self.running[spec]
        return Lease(name, f"/nowhere/{name}.sock", 60, "fake", Tier.NONE)

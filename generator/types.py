"""Values that the steps of the loop share; plain data that survives a trip through JSON."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Self

from generator.contract import Contract

_NUMBERS = re.compile(r"\d+")


class Gate(StrEnum):
    """What looks at a candidate, in this order."""

    STATIC = "static"  # reads the code, never runs it
    SANDBOX = "sandbox"  # starts it in a sandbox of its own and calls it
    INVARIANTS = "invariants"  # compares a repair with what it repairs
    EDIT = "edit"  # an edit that did not apply


class Severity(StrEnum):
    """Whether a finding stops the candidate."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a gate found. `line` counts in the part that the model wrote, from 1.

    `message` is for people and for the model; `detail` is an excerpt (log, answer, traceback),
    which is hostile text: bounded, and never more than data.
    """

    gate: Gate
    rule: str  # stable snake_case name, such as `import_not_allowed`
    message: str
    severity: Severity = Severity.ERROR
    line: int | None = None
    operation: str = ""  # id of the contract's operation it belongs to, when there is one
    detail: str = ""

    @property
    def stops(self) -> bool:
        """Whether a candidate with it may not go live."""
        return self.severity is Severity.ERROR

    @property
    def fingerprint(self) -> str:
        """Equal for the same problem in two rounds, wherever it has moved to."""
        message = _NUMBERS.sub("#", self.message)
        return f"{self.gate}:{self.rule}:{self.operation}:{message}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Inverse of `to_json`; raises KeyError, TypeError or ValueError on anything else."""
        return cls(**{
            **value,
            "gate": Gate(value["gate"]),
            "severity": Severity(value.get("severity", Severity.ERROR)),
        })  # fmt: skip


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case of the sandbox gate: an example, an attempt at abuse, or a generated call."""

    name: str
    kind: str  # example, abuse, generated
    operation: str
    passed: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TestReport:
    """What the sandbox gate tried, kept with the version."""

    __test__ = False  # not a test of pytest's

    cases: tuple[CaseResult, ...] = ()
    seconds: float = 0.0

    @property
    def passed(self) -> int:
        """How many cases passed."""
        return sum(case.passed for case in self.cases)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Code between the model and the gates.

    `body` is what the model wrote; `code` the whole file that would be deployed, which is the
    platform's template around it.
    """

    body: str
    code: str
    round: int = 0  # 0 as first written, then the number of the repair
    findings: tuple[Finding, ...] = ()
    report: TestReport = TestReport()

    @property
    def stopped_by(self) -> tuple[Finding, ...]:
        """Findings that keep it from going live."""
        return tuple(finding for finding in self.findings if finding.stops)

    def found(self, findings: tuple[Finding, ...], report: TestReport) -> Self:
        """The same with what the gates say of it."""
        return replace(self, findings=findings, report=report)


class EventKind(StrEnum):
    """Steps of a job, in words that pages and terminals show."""

    STARTED = "started"
    SCREENED = "screened"  # data: allowed, reason, questions, assumptions
    CONTRACT = "contract"  # data: contract (its JSON), diff and level for an edit
    CASES = "cases"  # data: quantity of acceptance and abuse cases
    WRITING = "writing"  # data: characters so far (throttled), file
    WRITTEN = "written"  # data: body, round, diff
    GATE = "gate"  # data: gate, passed, findings, seconds; of the sandbox also cases, cases_passed
    REPAIR = "repair"  # data: round, of, findings, stronger
    COST = "cost"  # data: nano_usd so far, cap_nano_usd
    CHECKED = "checked"  # a candidate passed every gate; data: see Outcome.to_json
    GAVE_UP = "gave_up"  # data: code (stable), reason, findings, best candidate's body
    VERSION = "version"  # the platform stored it; data: api_id, version
    DEPLOYED = "deployed"  # it answers; data: api_id, url, curl
    FAILED = "failed"  # data: code, reason
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Event:
    """One step, as told to whoever watches. `text` is one short sentence."""

    kind: EventKind
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Previous:
    """What an edit starts from: the live version."""

    contract: Contract
    body: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a job had come when its worker died; steps that are done are not paid for twice.

    `generator.resume.checkpoint_of` makes it from the events that were stored.
    """

    contract: Contract | None = None
    body: str | None = None
    round: int = 0
    guards: str | None = None  # of a repair: the body whose guards it must keep


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for. All text in it is data, never instruction to us.

    With `previous` it is an edit. `answers` are replies to questions of the screen, by question.
    """

    prompt: str
    name: str = ""
    previous: Previous | None = None
    answers: Mapping[str, str] = field(default_factory=dict)
    checkpoint: Checkpoint = Checkpoint()


@dataclass(frozen=True, slots=True)
class Outcome:
    """A candidate that passed every gate, with all that is kept beside its version."""

    contract: Contract
    candidate: Candidate
    model: str
    level: str = "major"  # of an edit: patch, minor or major
    breaking: tuple[str, ...] = ()  # what callers of the previous version would miss

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form, as `api_versions` keeps it."""
        return {
            "contract": self.contract.model_dump(mode="json"),
            "body": self.candidate.body,
            "code": self.candidate.code,
            "round": self.candidate.round,
            "findings": [finding.to_json() for finding in self.candidate.findings],
            "report": self.candidate.report.to_json(),
            "model": self.model,
            "level": self.level,
            "breaking": list(self.breaking),
        }


class GeneratorError(Exception):
    """Base of what ends a job. `code` is stable, `reason` is for the person who asked."""

    code = "generation_failed"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

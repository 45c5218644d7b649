"""What the loop is made of: a model, a stage, the gates, limits. The platform fills it in."""

import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from generator.contract import Contract
from generator.fuzz import Fuzzer
from generator.llm.base import Model
from generator.stage import Stage
from generator.types import Finding, TestReport

Found = tuple[Finding, ...]


Rehearse = Callable[[Stage, Contract, str, int, Fuzzer | None], Awaitable[tuple[Found, TestReport]]]


class Read(Protocol):
    """What the static gate makes of a body: mended where a tool can, with what it found."""

    @property
    def body(self) -> str:
        """The body from here on."""
        ...

    @property
    def findings(self) -> Found:
        """What is left to say."""
        ...


@dataclass(frozen=True, slots=True)
class Gates:
    """Everything that looks at a candidate, each a function that a test can replace."""

    assemble: Callable[[Contract, str], str]
    offset: Callable[[Contract], int]
    is_program: Callable[[Contract, str], bool]  # no: nothing of it can be started
    tidy: Callable[[str], Awaitable[str]]  # mended where a tool can
    scan: Callable[[Contract, str], Awaitable[Read]]
    fuzzer: Callable[[], AbstractAsyncContextManager[Fuzzer | None]]  # once for each job
    rehearse: Rehearse
    compare: Callable[[str, str], Found]
    cases: Callable[[Contract], tuple[int, int]]  # how many examples, how many abuses


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a job goes."""

    prompt_characters: int = 50_000
    rounds: int = 3  # of repair
    tries: int = 2  # answers asked for in one step when one cannot be used
    body_tokens: int = 32_000
    waits_for_answers: bool = False  # open questions end the job, to be asked again with answers
    seconds_between_writing: float = 0.5


@dataclass(frozen=True, slots=True)
class Money:
    """What a job has cost, and what it may."""

    nano_usd: int
    cap_nano_usd: int


@dataclass(frozen=True, slots=True)
class Parts:
    """All that `run` needs. `stronger` is asked once, in the last round of repair."""

    model: Model
    stage: Stage
    gates: Gates
    stronger: Model | None = None
    limits: Limits = field(default_factory=Limits)
    money: Callable[[], Money] | None = None  # told after each step that a model took part in
    clock: Callable[[], float] = time.monotonic

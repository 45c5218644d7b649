"""Plays a scenario: the real client of the model, a scripted server, real gates, a stage."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from generator.contract import Contract
from generator.fuzz import Fuzzer
from generator.gates import GATES
from generator.llm.anthropic import AnthropicModel
from generator.llm.base import CapReachedError, Model, Purpose, Purse, PurseReservation
from generator.llm.endpoint import Endpoint
from generator.llm.scripted import Answering, Asked, scripted
from generator.llm.scripted import Scenario as Script
from generator.llm.scripted.scenario import Reply
from generator.llm.settings import ModelSettings, Patience
from generator.loop import run
from generator.parts import Found, Gates, Limits, Parts, Read
from generator.stage import Running, Stage, StageUnavailableError
from generator.types import Event, TestReport
from tests.support.scenarios.base import CHECKED, Scenario

KEY = "sk-for-tests-only"


class NoStage:
    """Never has a sandbox."""

    @asynccontextmanager
    async def running(self, code: str, contract: Contract) -> AsyncIterator[Running]:
        """Says so."""
        raise StageUnavailableError("No sandbox can be had now.")
        yield  # pragma: no cover


class Remembering:
    """The real gates without generated calls; what they said of code once is not asked again."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, str], Read] = {}
        self._rehearsed: dict[str, tuple[Found, TestReport]] = {}

    async def scan(self, contract: Contract, body: str) -> Read:
        """See the static gate."""
        key = (contract.model_dump_json(), body)
        if key not in self._read:
            self._read[key] = await GATES.scan(contract, body)
        return self._read[key]

    async def rehearse(
        self, stage: Stage, contract: Contract, code: str, offset: int, fuzzer: Fuzzer | None
    ) -> tuple[Found, TestReport]:
        """See the sandbox gate."""
        if isinstance(stage, NoStage) or code not in self._rehearsed:
            self._rehearsed[code] = await GATES.rehearse(stage, contract, code, offset, fuzzer)
        return self._rehearsed[code]

    @property
    def gates(self) -> Gates:
        """As the loop takes them."""
        return replace(GATES, scan=self.scan, rehearse=self.rehearse, fuzzer=nullcontext)


@dataclass
class Capped(Purse):
    """Has no money left for one purpose."""

    cap_at: str = ""

    async def reserve(self, purpose: Purpose, model: str, nano_usd: int) -> PurseReservation:
        """See `Purse`."""
        if purpose == self.cap_at:
            raise CapReachedError("The job has used up its money.", "job")
        return await super().reserve(purpose, model, nano_usd)


@dataclass(frozen=True, slots=True)
class Played:
    """What came of it."""

    events: tuple[Event, ...]
    seen: tuple[Asked, ...]
    left: tuple[int, int]  # replies that nobody asked for: of the model, of the stronger one

    @property
    def rules(self) -> set[str]:
        """Every rule that a gate named."""
        found = [one for event in self.events for one in event.data.get("findings", ())]
        return {one["rule"] for one in found}

    def expect(self, scenario: Scenario) -> None:
        """It ended as the table says, and all that was to be said was asked for."""
        last = self.events[-1]
        code = "" if str(last.kind) == CHECKED else last.data["code"]
        assert (str(last.kind), code) == (scenario.end, scenario.code), str(self)
        if scenario.round is not None:
            assert last.data["round"] == scenario.round, str(self)
        assert set(scenario.found) <= self.rules, str(self)
        assert not [text for text in scenario.lacks if text in last.data["code"]]
        assert self.left == (0, 0), str(self)

    def __str__(self) -> str:
        """A line for each event."""
        told = (f"{one.kind}: {one.text} {one.data.get('findings', '')}" for one in self.events)
        return "\n".join(told)


class Saying:
    """The scenario's replies in their order; remembers which were never asked for."""

    def __init__(self, replies: tuple[Any, ...]) -> None:
        self._script = Script.saying(*replies) if replies else None
        self.left = len(replies)

    def __call__(self, asked: Asked) -> Reply | None:
        """The next one."""
        if asked.path.endswith("count_tokens") or self._script is None:
            return None
        self.left -= 1
        return self._script(asked)


async def play(scenario: Scenario, gates: Gates, stage: Stage) -> Played:
    """All events of it."""
    async with speaking(scenario) as (model, said):
        parts = Parts(
            model,
            stage if scenario.has_stage else NoStage(),
            gates,
            stronger=said.stronger if scenario.stronger else None,
            limits=Limits(seconds_between_writing=0.1),
        )
        events = [event async for event in run(scenario.wish, parts)]
    assert said.purse.reserved == 0
    return Played(tuple(events), tuple(said.seen), (said.mine.left, said.others.left))


@dataclass(slots=True)
class Said:
    """Both sides of the conversation."""

    mine: Saying
    others: Saying
    stronger: Model
    purse: Purse
    seen: list[Asked]


@asynccontextmanager
async def speaking(scenario: Scenario, pace: float = 0.0) -> AsyncIterator[tuple[Model, Said]]:
    """The scenario's model, and what is said and spent."""
    seen, purse = list[Asked](), Capped(10**10, cap_at=scenario.cap_at)
    mine, others = Saying((*scenario.before, *scenario.says)), Saying(scenario.stronger)
    async with (
        _model(scenario, mine, seen, purse, pace) as model,
        _model(scenario, others, seen, purse, pace) as stronger,
    ):
        yield model, Said(mine, others, stronger, purse, seen)


@asynccontextmanager
async def _model(
    scenario: Scenario, answering: Answering, seen: list[Asked], purse: Purse, pace: float
) -> AsyncIterator[Model]:
    compatible = scenario.speaks == "compatible"
    async with scripted(answering, compatible=compatible, seen=seen, pace=pace) as base_url:
        settings = ModelSettings(
            api_key=KEY,
            base_url=base_url,
            model="local" if compatible else "",
            speaks="compatible" if compatible else "scripted",
            patience=Patience(**scenario.patience),
        )
        async with Endpoint(settings, _no_pause) as endpoint:
            yield AnthropicModel(endpoint, purse, "")


async def _no_pause(_: float) -> None:
    await asyncio.sleep(0)

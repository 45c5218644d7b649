"""One job from words to code that passed every gate, as events. Knows nobody's tenant or table."""

import asyncio
from collections.abc import AsyncGenerator, Iterator

import structlog

from generator.agree import agree
from generator.build import Building
from generator.contract import Contract
from generator.conversation import order
from generator.difference import difference
from generator.edit import change_body
from generator.gating import Gating, Guards
from generator.parts import Parts
from generator.telling import Telling
from generator.types import Candidate, Event, EventKind, GeneratorError, Outcome, Wish

_log = structlog.get_logger(__name__)


async def run(wish: Wish, parts: Parts) -> AsyncGenerator[Event, None]:
    """Every step as it happens; the last event is CHECKED, GAVE_UP or FAILED.

    Nothing is raised but CancelledError. Close it (`contextlib.aclosing`) when you leave early:
    then nothing goes on. The work waits until an event was taken, so what a checkpoint is made
    of, CONTRACT and WRITTEN, can be stored before the next step is paid for.
    """
    telling = Telling(parts)
    work = asyncio.create_task(_work(wish, parts, telling))
    work.add_done_callback(lambda _: telling.end())
    try:
        while (event := await telling.next()) is not None:
            yield event
            telling.taken()
        for event in _ending(work, telling):
            yield event
    finally:
        work.cancel()
        await asyncio.wait({work})


async def _work(wish: Wish, parts: Parts, telling: Telling) -> None:
    is_resumed = wish.checkpoint.contract is not None
    text = "Going on where it was left." if is_resumed else "Started."
    await telling.tell(EventKind.STARTED, text, resumed=is_resumed)
    async with parts.gates.fuzzer() as fuzzer:  # it takes a while to come up: begin at once
        contract = await agree(wish, parts, telling)
        await _tell_cases(parts, telling, contract)
        candidate = await _made(wish, Gating(parts, telling, contract, fuzzer))
    await _tell_checked(wish, parts, telling, contract, candidate)


async def _made(wish: Wish, gating: Gating) -> Candidate:
    building = Building(wish, gating)
    live = None if wish.previous is None else Guards(wish.previous.body, stops=False)
    body, number = wish.checkpoint.body, wish.checkpoint.round
    if body is not None:
        kept = wish.checkpoint.guards
        return await building.passing(body, number, live if kept is None else Guards(kept))
    if wish.previous is None:
        return await building.passing(await building.write(), 0, None)
    parts, asks = gating.parts, order(gating.contract, wish)
    writing, tries = gating.telling.writing(), parts.limits.tries
    changed = await change_body(parts.model, asks, wish.previous, tries, writing)
    await gating.telling.tell_cost()
    return await building.passing(changed.body, 0, live, changed.diff)


async def _tell_cases(parts: Parts, telling: Telling, contract: Contract) -> None:
    examples, abuses = parts.gates.cases(contract)
    text = f"It will be tried with {examples} examples and {abuses} attempts at abuse."
    await telling.tell(EventKind.CASES, text, acceptance=examples, abuse=abuses)


async def _tell_checked(
    wish: Wish, parts: Parts, telling: Telling, contract: Contract, candidate: Candidate
) -> None:
    model = parts.model.named("code" if wish.previous is None else "edit")
    outcome = Outcome(contract, candidate, model)
    if wish.previous is not None:
        change = difference(wish.previous.contract, contract)
        outcome = Outcome(contract, candidate, model, change.level, change.breaking)
    passed = f"All gates passed; {candidate.report.passed} cases held."
    await telling.tell(EventKind.CHECKED, passed, **outcome.to_json())


def _ending(work: "asyncio.Task[None]", telling: Telling) -> Iterator[Event]:
    """What is told of work that ended without passing."""
    error = work.exception()
    if error is None:
        return
    if (cost := telling.cost()) is not None:
        yield cost
    yield _end(error, telling.best)


def _end(error: BaseException, best: Candidate | None) -> Event:
    if isinstance(error, GeneratorError):
        code, reason = error.code, error.reason
    else:
        _log.error("generation_broke", exc_info=error)
        code, reason = GeneratorError.code, "Something broke on our side; it is written down."
    if best is None:
        return Event(EventKind.FAILED, reason, {"code": code, "reason": reason})
    return Event(EventKind.GAVE_UP, reason, {
        "code": code,
        "reason": reason,
        "findings": [one.to_json() for one in best.findings],
        "body": best.body,
        "round": best.round,
        "report": best.report.to_json(),
    })  # fmt: skip

"""What is going to be made: a request is looked at, and becomes a contract."""

from generator.contract import Contract
from generator.difference import difference
from generator.draft import BadContractError
from generator.faults import faults_of
from generator.parts import Parts
from generator.propose import propose, propose_change
from generator.screen import Screening, judge, look, screen
from generator.telling import Telling
from generator.template import packages
from generator.types import EventKind, Previous, Wish


async def agree(wish: Wish, parts: Parts, telling: Telling) -> Contract:
    """The contract of this job; the one of its checkpoint when there is one.

    A person may have changed that one, so it is held against the same rules.
    """
    if wish.checkpoint.contract is not None:
        if faults := faults_of(wish.checkpoint.contract, packages().keys()):
            raise BadContractError(faults)
        return wish.checkpoint.contract
    look(wish, parts.limits.prompt_characters)
    screening = await _screened(wish, parts, telling)
    if wish.previous is not None:
        return await _changed(wish, parts, telling, wish.previous)
    tries, assumed = parts.limits.tries, screening.assumptions
    contract = await propose(parts.model, wish, assumed, tries)
    await telling.tell_cost()
    text = f"{contract.title}: {_count(len(contract.operations), 'operation')}."
    await telling.tell(EventKind.CONTRACT, text, contract=_json(contract))
    return contract


async def _screened(wish: Wish, parts: Parts, telling: Telling) -> Screening:
    screening = await screen(parts.model, wish)
    await telling.tell_cost()
    text = screening.reason or "The request can be made."
    await telling.tell(EventKind.SCREENED, text, **screening.model_dump(mode="json"))
    judge(screening, waits_for_answers=parts.limits.waits_for_answers and not wish.answers)
    return screening


async def _changed(wish: Wish, parts: Parts, telling: Telling, previous: Previous) -> Contract:
    contract = await propose_change(parts.model, wish, previous, parts.limits.tries)
    await telling.tell_cost()
    change = difference(previous.contract, contract)
    missed = _count(len(change.breaking), "thing") if change.breaking else "nothing"
    text = f"A {change.level} change; callers miss {missed}."
    await telling.tell(
        EventKind.CONTRACT,
        text,
        contract=_json(contract),
        diff=list(change.changes),
        level=change.level,
        breaking=list(change.breaking),
    )
    return contract


def _json(contract: Contract) -> dict[str, object]:
    return contract.model_dump(mode="json", by_alias=True)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"

"""The contract of a new API, or of a changed one, from words."""

from collections.abc import Sequence
from dataclasses import replace

from generator.contract import Contract
from generator.draft import BadContractError, ContractDraft, contract_of
from generator.llm.base import Model, Prompt, Turn, UnusableAnswerError
from generator.prompts import system
from generator.quote import clean, data
from generator.screen import asked
from generator.template import packages
from generator.types import Previous, Wish

_FAULT = 500
_FAULTS = 30
_TOKENS = 24_000


async def propose(model: Model, wish: Wish, assumptions: Sequence[str], tries: int) -> Contract:
    """A valid contract; UnusableAnswerError when none comes of so many tries."""
    asks = data("request", {**asked(wish), "assumptions": list(assumptions)})
    prompt = Prompt("contract", system("contract"), (Turn("user", asks),), (_offer(),),
                    max_tokens=_TOKENS)  # fmt: skip
    return await _drafted(model, prompt, tries)


async def propose_change(model: Model, wish: Wish, previous: Previous, tries: int) -> Contract:
    """The contract after an edit, as valid as a new one."""
    now = data("contract", previous.contract.model_dump(mode="json", by_alias=True))
    turn = Turn("user", f"{now}\n{data('request', asked(replace(wish, previous=None)))}")
    prompt = Prompt("edit", system("edit_contract"), (turn,), (_offer(),), max_tokens=_TOKENS)
    return await _drafted(model, prompt, tries)


async def _drafted(model: Model, prompt: Prompt, tries: int) -> Contract:
    faults: Sequence[str] = ()
    for _ in range(tries):
        draft = await model.fill(prompt, ContractDraft)
        try:
            return contract_of(draft, packages().keys())
        except BadContractError as error:
            faults = [clean(one, _FAULT) for one in error.faults[:_FAULTS]]
        told = Turn("user", data("faults", faults) + "\nGive the whole contract, mended.")
        said = Turn("assistant", draft.model_dump_json())
        prompt = replace(prompt, turns=(*prompt.turns, said, told))
    raise UnusableAnswerError(f"No contract came of it that holds: {'; '.join(faults[:3])}")


def _offer() -> str:
    """What a contract may name as a dependency."""
    return "Packages that may be dependencies: " + ", ".join(sorted(packages()))

"""Exact edits of a body by the model, and the proof that they are in it."""

from collections.abc import Callable
from dataclasses import dataclass

from generator.conversation import Wrong, about, ask
from generator.llm.base import Answer, Model, OnText, Prompt, ToolUse
from generator.prompts import platform, system
from generator.quote import clean, data, listed
from generator.replace import REPLACE, Applied, Edit, apply, edit_of
from generator.types import Candidate, Finding, Gate

_TOKENS = 16_000


@dataclass(frozen=True, slots=True)
class Mended:
    """A body with edits in it."""

    body: str
    diff: str


async def mend(
    model: Model, opening: str, candidate: Candidate, tries: int, on_text: OnText
) -> Mended | Finding:
    """The candidate's body with the model's edits; a finding when none could be put in."""
    told = data("findings", listed(candidate.findings))
    turns = about(opening, candidate.body, told)
    prompt = Prompt("repair", system("repair"), turns, (platform(),), (REPLACE,), _TOKENS)
    taken = await ask(model, prompt, edits_of(candidate.body), tries, on_text)
    return not_in(taken) if isinstance(taken, Wrong) else taken


def edits_of(body: str) -> Callable[[Answer], Mended | Wrong]:
    """Puts an answer's edits into this body."""

    def take(answer: Answer) -> Mended | Wrong:
        edits = [_edit(use) for use in answer.uses]
        wrong = [edit for edit in edits if isinstance(edit, Finding)]
        if wrong or not edits:
            used = " ".join(one.message for one in wrong) or "No tool was used."
            return Wrong(f"{used} Use the tool {REPLACE.name}, and no other.")
        applied = apply(body, [edit for edit in edits if isinstance(edit, Edit)])
        if isinstance(applied, Applied):
            return Mended(applied.body, applied.diff)
        return Wrong("; ".join(one.message for one in applied))

    return take


def _edit(use: ToolUse) -> Edit | Finding:
    if use.name != REPLACE.name:
        return Finding(Gate.EDIT, "tool_unknown", f"There is no tool {clean(use.name, 40)}.")
    return edit_of(use.input)


def not_in(wrong: Wrong) -> Finding:
    """Why a repair is not in the code."""
    return Finding(Gate.EDIT, "edit_not_applied", f"The edit was not made. {wrong.text}")

"""A live API changed in words: its contract first, then its code by exact edits."""

from generator.conversation import Wrong, about, ask
from generator.llm.base import Answer, Model, OnText, Prompt, Tool, UnusableAnswerError
from generator.prompts import platform, system
from generator.quote import data
from generator.repair import Mended, edits_of
from generator.replace import REPLACE
from generator.types import Previous

_TOKENS = 24_000
KEEP_BODY = Tool(
    "keep_body",
    "Say that the body does all that is asked for already. Nothing is changed.",
    {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
)


async def change_body(
    model: Model, order: str, previous: Previous, tries: int, on_text: OnText
) -> Mended:
    """The live body with the edits that were asked for; UnusableAnswerError when none came."""
    was = data("contract_before", previous.contract.model_dump(mode="json", by_alias=True))
    turns = about(f"{order}\n{was}", previous.body, "Change it as was asked for.")
    tools = (REPLACE, KEEP_BODY)
    prompt = Prompt("edit", system("edit_code"), turns, (platform(),), tools, _TOKENS)
    take = edits_of(previous.body)

    def kept_or_changed(answer: Answer) -> Mended | Wrong:
        if [use.name for use in answer.uses] == [KEEP_BODY.name]:
            return Mended(previous.body, "")
        return take(answer)

    taken = await ask(model, prompt, kept_or_changed, tries, on_text)
    if isinstance(taken, Wrong):
        raise UnusableAnswerError(f"The change could not be put into the code. {taken.text}")
    return taken

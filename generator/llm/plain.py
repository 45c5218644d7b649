"""Forms and uses of tools out of plain text, for endpoints that enforce neither."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from generator.llm.base import Form, Tool, ToolUse

LONGEST_COMPLAINT: Final = 2_000
MOST_PLACES: Final = 100  # where an object is looked for in prose
_TAGS: Final = ("tool_call", "function_call", "tool_use")
_INPUTS: Final = ("input", "arguments", "parameters", "args")
_DECODER: Final = json.JSONDecoder()


def read(text: str, form: type[Form]) -> Form:
    """The first object in the text that is in this form; ValueError with the nearest miss."""
    missed: ValidationError | None = None
    for value in objects(text):
        try:
            return form.model_validate_json(json.dumps(value))
        except ValidationError as error:
            missed = missed or error
    if missed is not None:
        raise missed
    raise ValueError("there is no JSON object in it")


def complaint(error: ValueError) -> str:
    """What is wrong with an answer, said to the model."""
    if isinstance(error, ValidationError):
        faults = [
            f"- {'.'.join(str(part) for part in fault['loc']) or '(all of it)'}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        listed = "\n".join(faults)[:LONGEST_COMPLAINT]
    else:
        listed = f"- {error}"
    return (
        f"That answer does not have the form that was asked for:\n{listed}\nGive it again, whole."
    )


def objects(text: str) -> Iterator[Mapping[str, Any]]:
    """JSON objects: the whole text, then fenced blocks, then wherever one starts."""
    for candidate in (text, *fenced(text)):
        value = _parsed(candidate)
        if isinstance(value, Mapping):
            yield value
    end = 0
    for _ in range(MOST_PLACES):
        place = text.find("{", end)
        if place < 0:
            return
        try:
            value, end = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            end = place + 1
        else:
            yield value


def fenced(text: str) -> list[str]:
    """Contents of the blocks between lines of ``` and of ```."""
    blocks: list[str] = []
    lines: list[str] | None = None
    for line in text.splitlines(keepends=True):
        if not line.lstrip().startswith("```"):
            if lines is not None:
                lines.append(line)
        elif lines is None:
            lines = []
        else:
            blocks.append("".join(lines))
            lines = None
    return blocks


def _tagged(text: str) -> Iterator[str]:
    for tag in _TAGS:
        for rest in text.split(f"<{tag}>")[1:]:
            yield rest.split(f"</{tag}>")[0]


def uses(text: str, tools: Sequence[Tool]) -> tuple[ToolUse, ...]:
    """Uses of these tools that somebody wrote down instead of making them."""
    tagged = [value for part in _tagged(text) for value in _each(part)]
    found = _of(tagged, tools) or _of(objects(text), tools)
    if found:
        return found
    return _whole_block(text, tools)


def _of(values: Iterable[Mapping[str, Any]], tools: Sequence[Tool]) -> tuple[ToolUse, ...]:
    names = {tool.name for tool in tools}
    made: list[tuple[str, Mapping[str, Any]]] = []
    for value in values:
        call = value["function"] if isinstance(value.get("function"), Mapping) else value
        given = next((call[key] for key in _INPUTS if key in call), None)
        given = _parsed(given) if isinstance(given, str) else given
        name = call.get("name")
        if name in names and isinstance(given, Mapping) and (name, given) not in made:
            made.append((name, given))
    return tuple(ToolUse(f"plain_{n}", name, given) for n, (name, given) in enumerate(made))


def _whole_block(text: str, tools: Sequence[Tool]) -> tuple[ToolUse, ...]:
    """One block of code for the only tool, which takes only one text: that is what it meant."""
    blocks = fenced(text)
    if len(tools) != 1 or len(blocks) != 1:
        return ()
    properties = tools[0].schema.get("properties") or {}
    if len(properties) != 1:
        return ()
    ((name, schema),) = properties.items()
    if schema.get("type") != "string":
        return ()
    return (ToolUse("plain_0", tools[0].name, {name: blocks[0]}),)


def _each(text: str) -> Iterator[Mapping[str, Any]]:
    value = _parsed(text)
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, Mapping):
            yield one


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None

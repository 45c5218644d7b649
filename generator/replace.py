"""Exact-match edits of a body: what each replaces is there once, and something changed.

All edits of a turn apply, in their order, or none does.
"""

import difflib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from generator.llm.base import Tool
from generator.scan.reading import MAX_CHARACTERS
from generator.types import Finding, Gate

MAX_EDITS = 40
_SHOWN = 5
RULES = {
    "edit_empty": "An edit that names nothing to replace.",
    "edit_changes_nothing": "An edit, or all of them together, that leaves the code as it was.",
    "edit_not_found": "The text to replace is not in the code.",
    "edit_ambiguous": "The text to replace is there more than once.",
    "edit_too_large": f"More than {MAX_EDITS} edits, or code above {MAX_CHARACTERS} characters.",
    "tool_input_wrong": "A tool used with other fields than its own, or with none at all.",
}
WRITE_BODY = Tool(
    "write_body",
    "Writes the whole body of the API, replacing what was there. Only the body: the platform "
    "adds what comes before and after it.",
    {
        "type": "object",
        "properties": {"body": {"type": "string", "description": "Python source code"}},
        "required": ["body"],
        "additionalProperties": False,
    },
)
REPLACE = Tool(
    "replace",
    "Replaces one piece of the body. `old` is copied exactly, with its spaces and line ends, and "
    "long enough to be there once. Nothing else changes.",
    {
        "type": "object",
        "properties": {
            "old": {"type": "string", "description": "text as it stands in the body, there once"},
            "new": {"type": "string", "description": "what stands there instead; may be empty"},
        },
        "required": ["old", "new"],
        "additionalProperties": False,
    },
)


@dataclass(frozen=True, slots=True)
class Edit:
    """`new` in place of `old`."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Applied:
    """Proof that all edits applied: the new body, its digest, and where it differs."""

    body: str
    digest: str
    lines: tuple[int, ...]  # of the new body that were not in the old one
    diff: str


def apply(body: str, edits: Sequence[Edit]) -> Applied | tuple[Finding, ...]:
    """The body with every edit made, or what is wrong with each that could not be."""
    if not 0 < len(edits) <= MAX_EDITS:
        rule = "edit_too_large" if edits else "edit_empty"
        return (_finding(rule, f"between 1 and {MAX_EDITS} edits are taken, not {len(edits)}"),)
    after, wrong = body, list[Finding]()
    for number, edit in enumerate(edits, 1):
        finding = _wrong(after, edit, number)
        if finding is None:
            after = after.replace(edit.old, edit.new, 1)
        else:
            wrong.append(finding)
    if wrong:
        return tuple(wrong)
    if len(after) > MAX_CHARACTERS:
        return (_finding("edit_too_large", f"the code has at most {MAX_CHARACTERS} characters"),)
    if digest(after) == digest(body):
        return (_finding("edit_changes_nothing", "the edits together change nothing"),)
    return Applied(after, digest(after), _changed(body, after), diff(body, after))


def digest(body: str) -> str:
    """SHA-256 of a body, lone surrogates and all."""
    return hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()


def diff(before: str, after: str, name: str = "app.py") -> str:
    """Unified diff; empty when they are the same."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    lines = difflib.unified_diff(old, new, f"a/{name}", f"b/{name}")
    ended = (x if x.endswith("\n") else f"{x}\n\\ No newline at end of file\n" for x in lines)
    return "".join(ended)


def edit_of(values: Mapping[str, Any]) -> Edit | Finding:
    """What a use of `replace` asks for."""
    if set(values) == {"old", "new"} and all(isinstance(one, str) for one in values.values()):
        return Edit(values["old"], values["new"])
    return _finding("tool_input_wrong", "replace takes two texts, old and new")


def body_in(values: Mapping[str, Any]) -> str | Finding:
    """What a use of `write_body` brings; a fence of Markdown around it is taken off."""
    body = values.get("body")
    if set(values) != {"body"} or not isinstance(body, str) or not body.strip():
        return _finding("tool_input_wrong", "write_body takes one text, body, that is not empty")
    if len(body) > MAX_CHARACTERS:
        return _finding("edit_too_large", f"the code has at most {MAX_CHARACTERS} characters")
    return _unfenced(body)


def _unfenced(body: str) -> str:
    lines = body.strip().split("\n")
    is_fenced = len(lines) > 2 and lines[0].strip() in {"```", "```python", "```py"}
    return "\n".join(lines[1:-1]) + "\n" if is_fenced and lines[-1].strip() == "```" else body


def _wrong(body: str, edit: Edit, number: int) -> Finding | None:
    if not edit.old:
        return _finding("edit_empty", f"edit {number} names nothing to replace")
    if edit.old == edit.new:
        return _finding("edit_changes_nothing", f"edit {number} replaces text by itself")
    if len(edit.new) > MAX_CHARACTERS:
        return _finding("edit_too_large", f"edit {number} is too large")
    lines = [body.count("\n", 0, place) + 1 for place in _places(body, edit.old)]
    if len(lines) == 1:
        return None
    if lines:
        where = ", ".join(map(str, lines[:_SHOWN])) + (" …" if len(lines) > _SHOWN else "")
        text = f"edit {number}: old is there more than once, at lines {where}; take more of it"
        return _finding("edit_ambiguous", text, lines[0])
    return _not_found(body, edit, number)


def _places(body: str, old: str) -> Iterator[int]:
    """Where it stands, overlapping or not, until there are more than are shown."""
    place = body.find(old)
    for _ in range(_SHOWN + 1):
        if place < 0:
            return
        yield place
        place = body.find(old, place + 1)


def _not_found(body: str, edit: Edit, number: int) -> Finding:
    """Says where its first line that tells something stands, if it does."""
    first = next((line.strip() for line in edit.old.split("\n") if line.strip()), "")
    lines = [place for place, line in enumerate(body.split("\n"), 1) if line.strip() == first]
    if not first or not lines:
        text = f"edit {number}: old is not in the code; copy it exactly"
        return _finding("edit_not_found", text)
    text = f"edit {number}: old is not in the code, but its first line is line {lines[0]}; "
    return _finding("edit_not_found", f"{text}copy what follows exactly, spaces too", lines[0])


def _changed(before: str, after: str) -> tuple[int, ...]:
    matcher = difflib.SequenceMatcher(None, before.split("\n"), after.split("\n"))
    steps = (step for step in matcher.get_opcodes() if step[0] != "equal")
    return tuple(line + 1 for step in steps for line in range(step[3], step[4]))


def _finding(rule: str, message: str, line: int | None = None) -> Finding:
    return Finding(Gate.EDIT, rule, message, line=line)

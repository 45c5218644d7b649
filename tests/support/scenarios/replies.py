"""What the scripted server says, as the rules of its scenarios are written."""

from collections.abc import Mapping
from typing import Any

from tests.support.scenarios import words

Reply = Mapping[str, Any]


def screened(**more: Any) -> Reply:
    """The view of a request."""
    form = {"allowed": True, "category": "api", "reason": "Words are counted.", "questions": [],
            "assumptions": []}  # fmt: skip
    return {"form": {**form, **more}}


def drafted(draft: Mapping[str, Any] = words.DRAFT) -> Reply:
    """A contract."""
    return {"form": draft}


def wrote(body: str = words.GOOD, **more: Any) -> Reply:
    """The code, handed in as it should be."""
    return {"uses": [{"name": "write_body", "input": {"body": body}}], **more}


def edited(*edits: words.Change) -> Reply:
    """Exact edits."""
    uses = [
        {"name": "replace", "input": {"old": old, "new": new}, "id": f"toolu_{number:02}"}
        for number, (old, new) in enumerate(edits)
    ]
    return {"uses": uses}


def used(tool: str, **values: Any) -> Reply:
    """Any tool."""
    return {"uses": [{"name": tool, "input": values}]}


def said(text: str) -> Reply:
    """Prose."""
    return {"text": text}


def failed(status: int, **more: Any) -> Reply:
    """An error instead of an answer."""
    return {"status": status, **more}


CUT_OFF: Reply = {"text": "from typing", "stop": "max_tokens"}
REFUSED: Reply = {"text": "", "stop": "refusal"}
DROPPED: Reply = {**wrote(), "fault": {"kind": "drop", "after": 3}}
MALFORMED: Reply = {**wrote(), "fault": {"kind": "malformed", "after": 3}}
HANGS: Reply = {**wrote(), "fault": {"kind": "hang", "after": 3}}
OVERLOADED_INSIDE: Reply = {**wrote(), "fault": {"kind": "error", "after": 3}}
START = (screened(), drafted())

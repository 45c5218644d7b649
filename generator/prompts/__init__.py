"""System texts: ours, the same for everybody, and so cached. A person's words are never in them."""

from functools import cache
from importlib.resources import files
from typing import Literal

Name = Literal["screen", "contract", "code", "repair", "edit_contract", "edit_code", "chat"]


@cache
def system(name: Name) -> str:
    """What the model is told for one step, with the rules that hold for all of them."""
    return f"{_read('rules')}\n{_read(name)}"


@cache
def platform() -> str:
    """What code finds around it and must keep to; a document beside the system text."""
    return _read("platform")


def _read(name: str) -> str:
    return files(__name__).joinpath(f"{name}.md").read_text(encoding="utf-8")

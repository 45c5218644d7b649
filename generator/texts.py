"""Text of models and sandboxes, made fit to be shown and to be quoted. Pure."""

import json
import unicodedata
from collections.abc import Iterator
from typing import Any

_KEPT = frozenset("\n\t")
# others: control, format (turns text around), surrogates, private use
_DROPPED = frozenset({"Cc", "Cf", "Cs", "Co"})


def cleaned(text: str, limit: int) -> str:
    """At most `limit` characters, without those that act instead of showing something."""
    short = text[: limit + 1]  # no work for what is thrown away
    kept = "".join(c for c in short if c in _KEPT or unicodedata.category(c) not in _DROPPED)
    return kept if len(text) <= limit else kept[: limit - 1] + "…"


def quoted(value: Any, limit: int = 80) -> str:
    """A value as JSON, short enough to stand in a sentence. `Any`: JSON."""
    return cleaned(json.dumps(value, ensure_ascii=False, default=str), limit)


class BadJsonError(ValueError):
    """Not JSON that others read in the same way, or too much of it."""


def parsed(text: str, *, characters: int, depth: int) -> Any:
    """The value of a JSON text within bounds. `Any`: JSON."""
    if len(text) > characters:
        raise BadJsonError(f"it is longer than {characters} characters")
    try:
        value = json.loads(text, parse_constant=_no_constant)
        text.encode()
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise BadJsonError("it has half a character (a lone surrogate)") from error
    except RecursionError as error:
        raise BadJsonError(f"it is nested more than {depth} deep") from error
    except ValueError as error:
        raise BadJsonError(f"it is no JSON: {cleaned(str(error), 120)}") from error
    if depth_of(value) > depth:
        raise BadJsonError(f"it is nested more than {depth} deep")
    return value


def depth_of(value: Any) -> int:
    """How deep objects and lists are nested; no recursion, so any depth can be asked."""
    return sum(1 for level in _levels(value) if any(isinstance(one, dict | list) for one in level))


def nodes_of(value: Any) -> int:
    """How many values are in it, itself included."""
    return sum(len(level) for level in _levels(value))


def _levels(value: Any) -> Iterator[list[Any]]:
    level = [value]
    while level:
        yield level
        inner = [one for one in level if isinstance(one, dict | list)]
        level = [item for one in inner for item in (one.values() if isinstance(one, dict) else one)]


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")

"""Conditions in PostgREST's words, which mean what they mean on a direct connection."""

import re

from gateway.store.database import DatabaseError, Filter
from gateway.store.statements import check_name, text_of, truth_word

LONGEST_LIST = 100  # values that travel in one address; proxies cut long ones


def condition(item: Filter) -> tuple[str, str]:
    """Operator and operand of one filter."""
    check_name(item.column)
    if item.operator == "is":
        return "is", truth_word(item.value)
    if item.operator == "in":
        return "in", f"({','.join(_quoted(_sendable(value)) for value in item.value)})"
    text = _sendable(item.value)
    if item.operator in ("like", "ilike") and "*" in text:
        # a star would be read as %, and there is no way to write one
        return item.operator.replace("like", "match"), as_regex(text)
    return item.operator, text


def as_regex(pattern: str) -> str:
    """The regular expression of the same texts as a pattern of `like`."""
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    return f"^{''.join(map(_regex_part, parts))}$"


def parts_of(where: tuple[Filter, ...]) -> list[tuple[Filter, ...]]:
    """The same condition in several: the first list that is too long for an address, cut."""
    for index, item in enumerate(where):
        if item.operator == "in" and len(item.value) > LONGEST_LIST:
            values = list(dict.fromkeys(map(text_of, item.value)))
            return [
                (*where[:index], Filter(item.column, "in", cut), *where[index + 1 :])
                for start in range(0, len(values), LONGEST_LIST)
                for cut in [values[start : start + LONGEST_LIST]]
            ]
    return [where]


def _regex_part(part: str) -> str:
    if part in ("%", "_"):
        return ".*" if part == "%" else "."
    literal = part[-1]
    return literal if literal.isalnum() or literal.isspace() else f"\\{literal}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _sendable(value: object) -> str:
    """What an address cannot carry Postgres cannot hold either."""
    text = text_of(value)
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise DatabaseError("22021", "invalid byte sequence for encoding UTF8")
    return text

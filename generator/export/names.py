"""Texts of strangers as names, literals and lines of files, so that none leaves its place."""

import json
import keyword
import re

_NOT_WORD = re.compile("[^A-Za-z0-9]+")
_HUMP = re.compile("(?<=[a-z0-9])(?=[A-Z])")
_MARKDOWN = re.compile(r"([\\`*_\[\]<>#!|~&])")
# names that methods may not have: of the clients themselves, and of types in the same class
_OF_CLIENTS = frozenset(
    {"bool", "bytes", "call", "constructor", "dict", "float", "int", "key", "list", "str", "url"}
)
_TAKEN = frozenset({*keyword.kwlist, "body", "self"})


def identifier(text: str, otherwise: str = "operation") -> str:
    """A name in snake_case that is no word of Python."""
    words = _NOT_WORD.split(_HUMP.sub("_", text[:200]))
    name = "_".join(word.lower() for word in words if word)[:60].strip("_")
    if not name or not name[0].isalpha():
        name = f"{otherwise}_{name}".strip("_")
    return f"{name}_" if name in _TAKEN else name


def pascal(name: str) -> str:
    """The name of a type, from a name in snake_case."""
    return "".join(word.capitalize() for word in name.split("_") if word)


def unique(name: str, taken: set[str], joint: str = "_") -> str:
    """The name, with a number when somebody has it; it is taken afterwards."""
    made, number = name, 2
    while made in taken:
        made, number = f"{name}{joint}{number}", number + 1
    taken.add(made)
    return made


def named(text: str, taken: set[str]) -> str:
    """A name for an operation whose types have names of their own too."""
    name = identifier(text)
    name = f"{name}_call" if name in _OF_CLIENTS else name
    made, number = name, 2
    while pascal(made) in taken:
        made, number = f"{name}_{number}", number + 1
    taken.add(pascal(made))
    return made


def folder_of(name: str) -> str:
    """The name of a folder and of a file: small letters, digits and hyphens."""
    return _NOT_WORD.sub("-", name[:200]).strip("-").lower()[:60].strip("-") or "api"


def python_text(text: str) -> str:
    """A literal of Python; on one line and in ASCII whatever is in it."""
    return ascii(text)


def script_text(value: object) -> str:
    """A literal of TypeScript; on one line, in ASCII, and harmless inside of a page."""
    return json.dumps(value).replace("<", "\\u003c")


def comment(text: str, most: int = 200) -> str:
    """One line that ends no comment."""
    line = " ".join(plain(text).split()).replace("*/", "* /")
    return line[:most]


def plain(text: str) -> str:
    """Without what cannot be seen."""
    return "".join(one if one.isprintable() else " " for one in text)


def markdown(text: str, most: int = 300) -> str:
    """One line of a page in which nothing is a mark."""
    return _MARKDOWN.sub(r"\\\1", " ".join(plain(text).split())[:most])

"""Reads the dependencies that a file states in its `# /// script` block (PEP 723), as data.

The file is never run, imported or compiled. Unlike the PEP, a block that was begun and not
ended is an error: whoever wrote it meant something by it.
"""

import platform
import re
import tomllib
from dataclasses import dataclass
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from sandbox.layers.requirement import RequirementError, canonical, parse

MAX_REQUIREMENTS = 50
MAX_BLOCK_CHARACTERS = 64 * 1024
_BEGIN = "# /// script"
_END = "# ///"
_NEARLY_BEGIN = re.compile(r"\s*#\s*///\s*script\s*$", re.IGNORECASE)
_TOML_PLACE = re.compile(r"\(at (?:line (\d+), column \d+|end of document)\)")
_COOKIE = re.compile(r"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_UTF8 = frozenset({"utf-8", "utf8", "utf_8", "utf-8-sig", "ascii", "us-ascii"})


class ScriptError(Exception):
    """The block cannot be used. Text and line are for the file's owner."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


@dataclass(frozen=True, slots=True)
class Script:
    """What the block says. `requirements` are in canonical form, sorted, each once."""

    requirements: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True)
class _Block:
    begin: int  # line of the file, from 1, that begins the block
    lines: tuple[str, ...]  # the TOML text

    def line_of(self, text: str) -> int:
        """Line of the file on which a value stands; the block's first when it is not plain."""
        for number, line in enumerate(self.lines, self.begin + 1):
            if text in line:
                return number
        return self.begin


def read(source: str) -> Script | None:
    """The file's own dependencies; None when it states none. Raises ScriptError."""
    text = source.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    block = _find(lines)
    if block is None:
        return None
    _refuse_encoding(lines)
    table = _table(block)
    _check_python(table.get("requires-python"), block)
    return Script(_requirements(table.get("dependencies", []), block), block.begin)


def _find(lines: list[str]) -> _Block | None:
    """The one block there is."""
    found: _Block | None = None
    number = 0
    while number < len(lines):
        number += 1
        line = lines[number - 1]
        if line != _BEGIN:
            if _NEARLY_BEGIN.match(line):
                raise ScriptError(f"write exactly {_BEGIN!r} to begin the block", number)
            continue
        if found is not None:
            raise ScriptError("the file has two script blocks", number)
        found = _block(lines, number)
        number += len(found.lines) + 1
    return found


def _block(lines: list[str], begin: int) -> _Block:
    """Comment lines up to the last `# ///` of the run, as the PEP says."""
    end = begin
    while end < len(lines) and (lines[end] == "#" or lines[end].startswith("# ")):
        end += 1
    run = lines[begin:end]
    if _END not in run:
        raise ScriptError(f"the script block is not ended by a line {_END!r}", begin)
    last = len(run) - 1 - run[::-1].index(_END)
    block = _Block(begin, tuple(line[2:] for line in run[:last]))
    if sum(map(len, block.lines)) > MAX_BLOCK_CHARACTERS:
        raise ScriptError(f"a script block has at most {MAX_BLOCK_CHARACTERS} characters", begin)
    return block


def _refuse_encoding(lines: list[str]) -> None:
    """The text came as UTF-8; a file that calls itself otherwise reads differently elsewhere."""
    for number, line in enumerate(lines[:2], 1):
        match = _COOKIE.match(line)
        if match and match[1].lower() not in _UTF8:
            raise ScriptError(f"a file with dependencies is UTF-8, not {match[1][:40]}", number)


def _table(block: _Block) -> dict[str, Any]:
    try:
        table = tomllib.loads("\n".join(block.lines))
    except RecursionError:
        raise ScriptError("the script block is nested too deeply", block.begin) from None
    except ValueError as error:
        match = _TOML_PLACE.search(str(error))
        line = block.begin + int((match and match[1]) or len(block.lines))
        reason = _TOML_PLACE.sub("", str(error)).strip()[:200]
        raise ScriptError(f"the script block is not valid TOML: {reason}", line) from None
    for key in table:
        if key not in {"dependencies", "requires-python"}:
            raise ScriptError(
                f"{key[:40]!r} is not allowed in a script block, only 'dependencies' "
                "and 'requires-python'",
                block.line_of(key),
            )
    return table


def _check_python(value: object, block: _Block) -> None:
    if value is None:
        return
    line = block.line_of("requires-python")
    if not isinstance(value, str) or len(value) > 100:
        raise ScriptError("'requires-python' is a short text", line)
    try:
        matches = SpecifierSet(value).contains(platform.python_version(), prereleases=True)
    except InvalidSpecifier:
        raise ScriptError(f"'requires-python' is not a version range: {value!r}", line) from None
    if not matches:
        raise ScriptError(
            f"the file requires Python {value}; here is {platform.python_version()}", line
        )


def _requirements(value: object, block: _Block) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ScriptError("'dependencies' is a list of texts", block.line_of("dependencies"))
    if len(value) > MAX_REQUIREMENTS:
        raise ScriptError(
            f"at most {MAX_REQUIREMENTS} dependencies, here are {len(value)}",
            block.line_of("dependencies"),
        )
    found = set()
    for text in value:
        try:
            requirement = parse(text.strip())
        except RequirementError as error:
            raise ScriptError(str(error), block.line_of(text)) from None
        if requirement is not None:
            found.add(canonical(requirement))
    return tuple(sorted(found))

"""Takes secret values out of text that leaves the sandbox. Pure.

It sees one line or one report at a time. A value that the app spreads over several lines,
or that the cut of an endless line goes through, is found as far as each part is long enough
to be known by itself: best effort. What the app does to a value beyond the forms below
(reversing it, encrypting it) is beyond any filter.
"""

import binascii
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

MARK = "[secret]"
SHORTEST = 6  # shorter values are found in innocent words
_LINE_SHORTEST = 16  # of a value with several lines: shorter ones are "}" or "-----"
_LONGEST_FORM = 16 * 1024
# as in URLs; urllib would cost a supervisor half a megabyte
_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~"
_KEY_FENCE = re.compile(r"^-+[A-Z ]+-+$")  # first and last line of any key file


class Redactor:
    """Replaces each form of each value by `[secret]`."""

    def __init__(self, values: Iterable[str]) -> None:
        forms = {form for value in values if len(value) >= SHORTEST for form in forms_of(value)}
        # the longest first, so that no form leaves the rest of a longer one behind
        ordered = sorted(forms, key=len, reverse=True)
        self._ordered = ordered
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def clean(self, text: str) -> str:
        """The text without the values."""
        return self._pattern.sub(MARK, text) if self._pattern else text

    def clean_long(self, text: str) -> str:
        """The same for half a megabyte, where looking for each form alone is quicker."""
        for form in self._ordered:
            if form in text:
                text = text.replace(form, MARK)
        return text

    def clean_message(self, message: dict[str, Any]) -> dict[str, Any]:
        """The same for every text in a flat message."""
        return {
            name: self.clean(value) if isinstance(value, str) else value
            for name, value in message.items()
        }


def forms_of(value: str) -> Iterator[str]:
    """The value as it is written, encoded and escaped; each of its lines when it has several."""
    yield from _spellings(value)
    lines = value.splitlines()
    if len(lines) > 1:
        for line in lines:
            if len(line) >= _LINE_SHORTEST and not _KEY_FENCE.match(line):
                yield from _spellings(line)


def _spellings(text: str) -> Iterator[str]:
    data = text.encode("utf-8", "surrogatepass")
    yield text
    if len(data) > _LONGEST_FORM:
        return
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield repr(text)[1:-1]
    yield repr(data)[2:-1]
    for safe in (_UNRESERVED, _UNRESERVED + b"/"):
        for form in ("%{:02X}", "%{:02x}"):
            quoted = "".join(chr(one) if one in safe else form.format(one) for one in data)
            yield quoted
            yield quoted.replace("%20", "+")
    yield data.hex()
    yield data.hex().upper()
    yield from _base64_forms(data)


def _base64_forms(data: bytes) -> Iterator[str]:
    """Alone, and within a longer text at each of the three places it can begin at."""
    for before in range(3):
        encoded = binascii.b2a_base64(b"\0" * before + data, newline=False).decode().rstrip("=")
        # characters that mix in bits of the neighbours say nothing about the value
        first = (0, 2, 3)[before]
        last = len(encoded) - bool((before + len(data)) % 3)
        for text in (encoded, encoded.replace("+", "-").replace("/", "_")):
            if last - first >= SHORTEST:
                yield text[first:last]

"""The corpus as a page: `python -m tests.hostile.corpus_page` prints it, a test compares it."""

import sys
from collections.abc import Iterator, Mapping, Sequence

from tests.hostile.raw_answer_rows import AnswerRow
from tests.hostile.raw_answers import GROUPS as ANSWERS
from tests.hostile.raw_requests import GROUPS as REQUESTS
from tests.hostile.raw_rows import Row

_HEAD = """# Hostile bytes

**Context.** Callers and sandboxes send whatever they like. Most of what is known to go wrong between two HTTP implementations is a message that they read differently, so the verdict on each such message is a decision, and is written down.

**Decision.** One list of raw requests and one of raw answers, a row for each, with its verdict. Every row is sent over real sockets through the whole call path, byte for byte and in the pieces it names. A request is followed by a good one on the same connection, or the connection has to be over. An answer is played to the first call of a sandbox and to one for which a connection was at hand; before and behind it stand good calls that must get their own answers; the sandbox counts connections, so that one that was to be dropped is seen to be dropped. Whatever a sandbox sent, an answer of the gateway has a well-formed head, one way to tell its length, and each of the gateway's own fields exactly once.

**Consequences.** What is refused here may be taken elsewhere: where standards leave a choice the gateway refuses. Requests are refused with a 4xx, answers with 502; an answer that turns out bad when its caller has the head already is broken off. Bodies and codings of content are nobody's business but the app's and the caller's.

**Enforced by.** `tests/hostile/test_raw_requests.py`, `tests/hostile/test_raw_answers.py`, and for those who take their time `tests/hostile/test_raw_slow.py`; this page is made by `python -m tests.hostile.corpus_page` and compared with its source.
"""  # noqa: E501 - paragraphs of a page
_REQUESTS = """
## What callers send

{count} raw requests. `/<api>` is the address of the API. *Passes* means that the call reached its sandbox, with or without what is named; *ends* tells what became of the caller's connection.
"""  # noqa: E501 - a paragraph of a page
_ANSWERS = """
## What sandboxes send

{count} raw answers. *Ends* tells what became of the connection to the sandbox, kept when the next call went over it, and of the caller's.
"""  # noqa: E501 - a paragraph of a page
_TABLE = "| # | what is sent | what becomes of it | ends | why |\n|--:|---|---|---|---|\n"
_TITLES = {
    "framing": "lengths and codings",
    "lines": "request lines",
    "sequences": "several on one connection",
    "expectations": "expectations and upgrades",
}


def page() -> str:
    """The whole page."""
    parts = [_HEAD, _REQUESTS.format(count=_count(REQUESTS))]
    parts += _tables("Q", REQUESTS)
    parts.append(_ANSWERS.format(count=_count(ANSWERS)))
    parts += _tables("A", ANSWERS)
    return "".join(parts)


def _count(groups: Mapping[str, Sequence[Row | AnswerRow]]) -> int:
    return sum(len(rows) for rows in groups.values())


def _tables(letter: str, groups: Mapping[str, Sequence[Row | AnswerRow]]) -> Iterator[str]:
    number = 0
    for group, rows in groups.items():
        title = _TITLES.get(group, group)
        yield f"\n### {title[0].upper()}{title[1:]} ({len(rows)})\n\n{_TABLE}"
        for row in rows:
            number += 1
            cells = (_cell(text) for text in (row.name, row.verdict, row.ends, row.source))
            yield f"| {letter}{number} | {' | '.join(cells)} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())

"""What a row of the corpus of raw answers is, and how its bytes are written."""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from gateway.store.call_settings import PLAIN, CallSettings
from tests.hostile.raw_rows import RFC9110, RFC9112, head, listed

__all__ = ["RFC9110", "RFC9112"]  # most rows name one of them


class Cue(Enum):
    """Between two pieces of an answer: what the sandbox waits for."""

    HEAD_SEEN = "the caller has read the head"
    ANSWER_SEEN = "the caller has read the whole answer"


class Reads(Enum):
    """What the sandbox reads of a call before it answers."""

    ALL = "all of it"
    HEAD = "its head"
    NOTHING = "nothing"


class Then(Enum):
    """What the sandbox does when it has sent all."""

    WAITS = "waits for the next call"
    CLOSES = "closes"
    HALF_CLOSES = "says that nothing more comes"
    DRIPS = "adds a header every few milliseconds"


GET = head()
HEAD = head(method=b"HEAD")
MARK = b"evil"  # in whatever must not reach a caller


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One call: what the sandbox sends, what its caller gets, what becomes of both connections.

    `code` is of the gateway's own answer, and of the record. An answer that is not `whole` was
    broken off. Upstream `kept` means that the next call went over the same connection; after
    `dropped` it had another one. `%API%` stands for the address of the API.
    """

    name: str
    source: str
    sent: tuple[bytes | Cue, ...]
    status: int
    code: str | None = None
    body: bytes | None = None
    has: tuple[bytes, ...] = ()  # lines of the head
    lacks: tuple[bytes, ...] = (MARK,)  # nowhere in the answer, in lower case
    whole: bool = True
    upstream: Literal["kept", "dropped"] = "kept"
    caller: Literal["goes on", "ends"] = "goes on"
    asked: bytes = GET
    reads: Reads = Reads.ALL
    then: Then = Then.WAITS
    settings: CallSettings = PLAIN

    @property
    def verdict(self) -> str:
        """For the table: what the caller gets."""
        if not self.whole:
            return f"{self.status}, visibly broken off, `{self.code}`"
        if self.code is not None:
            return f"{self.status} `{self.code}`"
        dropped = tuple(text for text in self.lacks if text != MARK)
        return f"passes as {self.status}{listed(' with ', self.has)}{listed(' without ', dropped)}"

    @property
    def ends(self) -> str:
        """For the table: the connections to the sandbox and to the caller."""
        return f"{self.upstream}, {'kept' if self.caller == 'goes on' else 'ended'}"


def answer(
    *lines: bytes, body: bytes = b"ok", first: bytes = b"HTTP/1.1 200 OK", length: bool = True
) -> bytes:
    """An answer with these lines and a length."""
    told = [b"content-length: %d" % len(body)] if length else []
    return b"\r\n".join([first, *lines, *told, b"", b""]) + body


def chunks(body: bytes, *lines: bytes) -> bytes:
    """An answer in chunks; `body` is framed already."""
    return answer(b"transfer-encoding: chunked", *lines, body=body, length=False)


def bad(name: str, source: str, sent: bytes | tuple[bytes | Cue, ...], **more: Any) -> AnswerRow:
    """A row that is refused: 502, and nothing of it reaches anybody."""
    pieces = (sent,) if isinstance(sent, bytes) else sent
    row: dict[str, Any] = {"status": 502, "code": "api_bad_response", "upstream": "dropped"}
    return AnswerRow(name, source, pieces, **{**row, **more})


def good(name: str, source: str, sent: bytes | tuple[bytes | Cue, ...], **more: Any) -> AnswerRow:
    """A row that passes."""
    pieces = (sent,) if isinstance(sent, bytes) else sent
    return AnswerRow(name, source, pieces, **{"status": 200, "body": b"ok", **more})


def broken(name: str, source: str, sent: tuple[bytes | Cue, ...], **more: Any) -> AnswerRow:
    """A row whose answer is broken off when the caller has its head already."""
    row: dict[str, Any] = {"status": 200, "code": "api_bad_response", "whole": False}
    row |= {"upstream": "dropped", "caller": "ends"}
    return AnswerRow(name, source, sent, **{**row, **more})

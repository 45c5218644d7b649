"""Answers as no app of good will sends them, and what becomes of each. Data only.

A sandbox of raw sockets sends them, byte for byte, in the pieces of its row. The rules are those
of `gateway/proxy/head.py`, `gateway/proxy/headers.py` and `gateway/proxy/connection.py`, and of
`docs/call-path.md` and `docs/browser-safety.md`.
"""

from tests.hostile import raw_answers_bodies as bodies
from tests.hostile import raw_answers_fields as fields
from tests.hostile import raw_answers_heads as heads
from tests.hostile.raw_answer_rows import AnswerRow
from tests.hostile.raw_answers_documents import DOCUMENTS

SLOW = "slow"
GROUPS: dict[str, list[AnswerRow]] = {
    "status lines": heads.LINES,
    "interim answers": heads.INTERIM,
    "fields": heads.FIELDS,
    "sizes": heads.SIZES,
    "lengths": bodies.LENGTHS,
    "codings": bodies.CODINGS,
    "chunks": bodies.CHUNKS,
    "trailers": bodies.TRAILERS,
    "answers without a body": bodies.BODILESS,
    "more than one answer": bodies.SEVERAL,
    "ends": bodies.ENDS,
    "pieces": bodies.PIECES,
    SLOW: bodies.SLOW,
    "of this hop": fields.HOP,
    "of the gateway": fields.FORGED,
    "orders": fields.ORDERS,
    "addresses": fields.ADDRESSES,
    "cookies": fields.COOKIES,
    "cross-origin": fields.CROSS,
    "documents": DOCUMENTS,
    "unopened bodies": fields.UNOPENED,
}
ROWS: list[AnswerRow] = [each for rows in GROUPS.values() for each in rows]

"""What PostgREST, or what stands before it, answers instead of a result, in our words.

By sets of codes, since they differ between its versions.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

import structlog

from gateway.errors import SandgateError
from gateway.store.database import DatabaseError, DatabaseUnavailableError
from gateway.store.refusal import refusal

_STATE = re.compile(r"[0-9A-Z]{5}|PGRST[0-9A-Z]{2,4}")
_AWAY = ("08", "53", "57")  # connection lost, out of resources, shutdown or timeout
_AWAY_ITSELF = frozenset({"PGRST000", "PGRST001", "PGRST002", "PGRST003", "PGRST300"})
_BAD_TOKEN = frozenset({"PGRST301", "PGRST302", "PGRST303"})
_NO_TABLE = frozenset({"42P01", "PGRST205"})
_NO_COLUMN = frozenset({"42703", "PGRST204"})
# never run: no connection to the database, schema not read yet, none free in time
_NOT_RUN = frozenset({"PGRST000", "PGRST002", "PGRST003"})
_GONE = range(502, 505)
_GONE_BEHIND = range(520, 525)  # a content network that does not reach the project

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer that is no result. `code` is empty when it is not PostgREST's own."""

    status: int
    code: str
    message: str
    detail: str | None

    @property
    def was_run(self) -> bool:
        """Whether the statement may have been run; if not, anything may be sent again."""
        return self.code not in _NOT_RUN and self.status != 429

    @property
    def is_passing(self) -> bool:
        """Whether the same question may be answered in a moment."""
        gone = self.status in _GONE or self.status in _GONE_BEHIND
        return not self.was_run or (gone and not self.code)


def read(status: int, content: bytes) -> Refused:
    """From PostgREST, or a page of a proxy before it."""
    try:
        found: Any = json.loads(content)  # any JSON at all; looked at below
    except ValueError:
        found = None
    values = found if isinstance(found, dict) else {}
    code, detail = str(values.get("code") or ""), values.get("details")
    return Refused(
        status=status,
        code=code if _STATE.fullmatch(code) else "",
        message=str(values.get("message") or content[:200].decode(errors="replace")),
        detail=None if detail is None else str(detail),
    )


def as_error(refused: Refused, *, role: str, is_function: bool) -> SandgateError:
    """The failure that a direct connection would have told."""
    code = refused.code
    if code in _AWAY_ITSELF or code.startswith(_AWAY):
        return DatabaseUnavailableError()
    if code in _BAD_TOKEN or (not code and refused.status in (401, 403)):
        return _not_believed(refused, role)
    if not code:
        if refused.status >= 500 or refused.status == 429:
            return DatabaseUnavailableError()
        return DatabaseError(f"HTTP{refused.status}", refused.message)
    if not is_function and code in _NO_TABLE:
        code = "PGRST205"
    if not is_function and code in _NO_COLUMN:
        code = "42703"
    return refusal(code, refused.message, refused.detail)


def _not_believed(refused: Refused, role: str) -> SandgateError:
    if role == "authenticated" and refused.code:
        gone = DatabaseError(refused.code, refused.message)
        gone.status, gone.code, gone.title = 401, "invalid_session", "Sign in again"
        gone.detail = gone.title
        return gone
    _log.error("key_refused", status=refused.status, code=refused.code, message=refused.message)
    return DatabaseUnavailableError()

"""From where, in which request and why: what every audit entry of a request says.

One value for the time of a request, so that no use case has to carry it along.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

REASON_CHARACTERS = 500


@dataclass(slots=True)
class AuditContext:
    """`is_told` is whether statements carry it; plain reads write no entry and go without."""

    request_id: str
    address: str | None
    reason: str | None = None
    is_told: bool = False

    def text(self) -> str:
        """As the database reads it."""
        said = {"request_id": self.request_id, "address": self.address, "reason": self.reason}
        return json.dumps({name: value for name, value in said.items() if value})


_current: ContextVar[AuditContext | None] = ContextVar("audit_context", default=None)


@contextmanager
def of_request(context: AuditContext) -> Iterator[None]:
    """Entries made inside are of this request."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)


def tell(reason: str | None = None) -> None:
    """From now on statements of this request carry it; with a reason when there is one."""
    context = _current.get()
    if context is not None:
        context.is_told = True
        context.reason = reason or context.reason


def told() -> str | None:
    """What a statement made now has to carry; None outside of requests."""
    context = _current.get()
    return context.text() if context is not None and context.is_told else None

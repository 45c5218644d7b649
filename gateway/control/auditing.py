"""Around every request of the control plane: what audit entries say of it, and as whom it is."""

from urllib.parse import unquote

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.middleware import request_id_of
from gateway.store.audit_context import REASON_CHARACTERS, AuditContext, of_request

REASON_HEADER = "x-audit-reason"
IMPERSONATING_HEADER = "x-sandgate-impersonating"
READS = frozenset({"GET", "HEAD", "OPTIONS"})
_STATE = "impersonating"


class Auditing:
    """Inside of `Edge`, which gives the request its id."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; only HTTP is looked at."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_marked(message: Message) -> None:
            user = scope.get("state", {}).get(_STATE)
            if user is not None and message["type"] == "http.response.start":
                MutableHeaders(scope=message)[IMPERSONATING_HEADER] = user
            await send(message)

        with of_request(_context(scope)):
            await self._app(scope, receive, send_marked)


def mark_impersonating(scope: Scope, user_id: str) -> None:
    """Whatever this request is answered with says as whom it was made."""
    scope.setdefault("state", {})[_STATE] = user_id


def _context(scope: Scope) -> AuditContext:
    client = scope.get("client")
    given = Headers(scope=scope).get(REASON_HEADER, "")
    reason = "".join(c for c in unquote(given) if c.isprintable()).strip()
    return AuditContext(
        request_id=request_id_of(scope),
        address=str(client[0])[:100] if client else None,
        reason=reason[:REASON_CHARACTERS] or None,
        is_told=scope["method"] not in READS,
    )

"""The audit log: what administrators read of others is entered, and everything can be looked up."""

import csv
import io
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from gateway.auth.permissions import is_admin
from gateway.auth.subject import Admin
from gateway.operations import access
from gateway.operations.access import AllowedApi, Known
from gateway.operations.ports import Services
from gateway.operations.values import optional
from gateway.store import audit, audit_context, impersonations, tenants
from gateway.store.database import Filter, Row

EXPORT_PAGE = 1000
COLUMNS = (
    "id", "at", "actor_id", "actor", "action", "target_type", "target_id", "reason", "address",
    "request_id", "detail",
)  # fmt: skip
_SIGNS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # the wide ones are read the same in places
_CONTROLS = ("\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to what, when, from where, in which request and why."""

    id: int
    at: str
    actor_id: str | None
    actor: str
    action: str
    target_type: str
    target_id: str
    reason: str | None
    address: str | None
    request_id: str | None
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """What is looked for; None is anything. An action that ends in a dot is all that begin so."""

    actor_id: UUID | None = None
    actor: str | None = None
    action: str | None = None
    target_type: str | None = None
    target_id: str | None = None
    request_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def entries(
    services: Services, subject: Known, query: AuditQuery, limit: int, before: int | None
) -> list[AuditEntry]:
    """Entries that fit, newest first; `before` is the last id of the page before."""
    access.require_admin(subject)
    await impersonations.sweep(services.database)  # what is over is told as over
    return await _page(services, query, limit, before)


async def export(services: Services, subject: Known, query: AuditQuery) -> AsyncIterator[str]:
    """The same as CSV, all of it, piece by piece. That somebody took it with them is an entry."""
    access.require_admin(subject)
    audit_context.tell()
    sought = {
        name: str(value)
        for name in AuditQuery.__slots__
        if (value := getattr(query, name)) is not None
    }
    actor = access.actor_of(subject)
    await audit.record(services.database, actor, "audit.export", ("audit", "csv"), sought)
    return _lines(services, query)


async def note_read(
    services: Services, subject: Known, allowed: AllowedApi, action: str, kind: str = "api"
) -> None:
    """Somebody with more rights than a member's own is about to read this; closed by default.

    No entry for members, who read what is theirs.
    """
    impersonator = None if isinstance(subject, Admin) else subject.impersonated_by
    if impersonator is None and not await _is_foreign(services, subject, allowed.tenant_id):
        return
    audit_context.tell()
    detail: dict[str, object] = {"tenant_id": str(allowed.tenant_id)}
    actor = access.actor_of(subject)
    if impersonator is not None:
        actor, detail["as_user_id"] = impersonator, optional(actor)
    await audit.record(services.database, actor, action, (kind, str(allowed.id)), detail)


async def _is_foreign(services: Services, subject: Known, tenant_id: UUID) -> bool:
    if not is_admin(subject):
        return False
    if isinstance(subject, Admin):
        return True
    return await tenants.role(services.database, tenant_id, subject.user_id) is None


async def _page(
    services: Services, query: AuditQuery, limit: int, before: int | None
) -> list[AuditEntry]:
    where = _filters(query)
    if before is not None:
        where.append(Filter("id", "lt", before))
    return [_entry(row) for row in await audit.page(services.database, where, limit)]


def _filters(query: AuditQuery) -> list[Filter]:
    where = [
        Filter(name, "eq", str(value))
        for name in ("actor_id", "actor", "target_type", "target_id", "request_id")
        if (value := getattr(query, name)) is not None
    ]
    if query.action is not None and query.action.endswith("."):
        where.append(Filter("action", "like", query.action.replace("_", "\\_") + "%"))
    elif query.action is not None:
        where.append(Filter("action", "eq", query.action))
    if query.since is not None:
        where.append(Filter("at", "gte", _in_utc(query.since)))
    if query.until is not None:
        where.append(Filter("at", "lt", _in_utc(query.until)))
    return where


def _in_utc(at: datetime) -> str:
    """Databases know fewer time zones than there are offsets within a day."""
    try:
        return at.astimezone(UTC).isoformat()
    except OverflowError:  # within hours of the first or the last year there is
        return at.replace(tzinfo=UTC).isoformat()


async def _lines(services: Services, query: AuditQuery) -> AsyncIterator[str]:
    yield ",".join(COLUMNS) + "\r\n"
    before: int | None = None
    while found := await _page(services, query, EXPORT_PAGE, before):
        yield csv_lines({name: getattr(entry, name) for name in COLUMNS} for entry in found)
        before = found[-1].id


def csv_lines(rows: Iterable[Mapping[str, object]]) -> str:
    """Rows as RFC 4180 with every cell harmless."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    for row in rows:
        writer.writerow([safe_cell(row[name]) for name in COLUMNS])
    return text.getvalue()


def safe_cell(value: object) -> str:
    """Text that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, Mapping) else str(value)
    is_formula = text.startswith(_CONTROLS) or text.lstrip().startswith(_SIGNS)
    return f"'{text}" if is_formula else text


def _entry(row: Row) -> AuditEntry:
    return AuditEntry(
        id=row["id"],
        at=row["at"],
        actor_id=optional(row["actor_id"]),
        actor=row["actor"],
        action=row["action"],
        target_type=row["target_type"],
        target_id=row["target_id"],
        reason=row["reason"],
        address=row["address"],
        request_id=row["request_id"],
        detail=dict(row["detail"]),
    )

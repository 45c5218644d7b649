"""Changing an API in words: a job makes the next version beside the live one; a person decides."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from gateway.auth.permissions import Operation
from gateway.errors import ConflictError, NotFoundError
from gateway.operations import access
from gateway.operations.access import AllowedApi, Known
from gateway.operations.api_changes import ApiChange, change_api
from gateway.operations.apis import with_versions
from gateway.operations.audit import note_read
from gateway.operations.finish import finish
from gateway.operations.generate import Approve, NewJob, NoModelError, Request, prepared
from gateway.operations.jobs import visible
from gateway.operations.ports import Services
from gateway.operations.rehearse import rehearse
from gateway.operations.restart import current, spec_of
from gateway.operations.switches import Switch, require
from gateway.operations.templates import template_of
from gateway.operations.values import optional
from gateway.store import edits, versions
from gateway.store.database import Row
from gateway.store.jobs import Made
from generator.contract import Contract

_CONTEXT = 3  # lines around a change


class EditNotFoundError(NotFoundError):
    """No such edit, or it is a stranger's."""

    code, title = "edit_not_found", "Edit not found"


class EditNotReadyError(ConflictError):
    """Its job has made no version, or not yet."""

    code, title = "edit_not_ready", "The edit has no version"


@dataclass(frozen=True, slots=True)
class NewEdit:
    """What shall be different."""

    prompt: str
    answers: Mapping[str, str] = field(default_factory=dict)
    approve: Approve = "auto"


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of an API; `status` is its job's. `diff` is of the part that a model writes.

    `breaking` is what callers of the version before would miss, a sentence each; `hosts` is
    where the new version may connect to and the API may not yet.
    """

    job_id: str
    api_id: str
    prompt: str
    status: str
    from_version: int
    version: int | None
    level: str | None
    changes: tuple[str, ...]
    breaking: tuple[str, ...]
    hosts: tuple[str, ...]
    diff: str
    decision: str
    decided_by: str | None
    decided_at: str | None
    created_at: str


async def create_edit(
    services: Services, subject: Known, ref: str, new: NewEdit, key: str | None
) -> Made:
    """A job that changes the version that answers most calls."""
    await require(services, Switch.GENERATION)
    allowed = await access.require_api(services, subject, ref, Operation.DEPLOY)
    await access.require_running_tenant(services, subject, allowed.tenant_id)
    access.require_running_api(subject, allowed)
    if not services.generation.model:
        raise NoModelError(services.generation.missing)
    wanted = [NewJob(new.prompt, answers=new.answers, approve=new.approve)]
    asked = Request(allowed.tenant_id, key)
    [job] = await prepared(services, subject, allowed.tenant_id, wanted, asked)
    job["edits_api_id"] = str(allowed.id)
    job["origin"] = await _template_origin(services, allowed)
    return await edits.create(services.database, job, services.generation.open_jobs)


async def _template_origin(services: Services, allowed: AllowedApi) -> dict[str, Any] | None:
    """Of a live version that is a template's and was not made by a job. `Any`: JSON."""
    [api] = await with_versions(services, allowed.identity, [allowed.row])
    if not api.versions:
        return None
    n = max(api.versions, key=lambda one: one.weight).version
    row = await versions.find(services.database, allowed.identity, allowed.id, n)
    found = template_of(row["code"]) if row else None
    if row is None or found is None:
        return None
    return {
        "version_id": str(row["id"]),
        "contract": found.contract.model_dump(mode="json", by_alias=True),
        "body": found.body,
        "template": found.slug,
    }


async def list_edits(
    services: Services, subject: Known, ref: str, limit: int, offset: int
) -> list[Edit]:
    """Of one API, newest first."""
    allowed = await access.require_api(services, subject, ref, Operation.READ)
    await note_read(services, subject, allowed, "api.read_code")
    rows = await edits.page(services.database, allowed.identity, allowed.id, limit, offset)
    return [await _told(services, subject, row) for row in rows]


async def read_edit(services: Services, subject: Known, job_id: UUID) -> Edit:
    """One, with what is different."""
    return await _told(services, subject, await _visible(services, subject, job_id))


async def accept_edit(services: Services, subject: Known, job_id: UUID, *, breaking: bool) -> Edit:
    """Let the new version answer; started first, so no call waits."""
    row = await _visible(services, subject, job_id)
    api_id = UUID(str(row["api_id"]))
    allowed = await access.require_api(services, subject, str(api_id), Operation.DEPLOY)
    await access.require_running_tenant(services, subject, allowed.tenant_id)
    access.require_running_api(subject, allowed)
    if row["decision"] == "open" and (breaking or not row["breaking"]):
        await _prepare(services, subject, allowed, row)
    await finish(_decide(services, subject, api_id, job_id, "accepted", breaking=breaking))
    return await read_edit(services, subject, job_id)


async def reject_edit(services: Services, subject: Known, job_id: UUID) -> Edit:
    """Leave everything as it is; the version stays and can still be called pinned."""
    row = await _visible(services, subject, job_id)
    api_id = UUID(str(row["api_id"]))
    await access.require_api(services, subject, str(api_id), Operation.DEPLOY)
    await finish(_decide(services, subject, api_id, job_id, "rejected", breaking=False))
    return await read_edit(services, subject, job_id)


async def _decide(
    services: Services,
    subject: Known,
    api_id: UUID,
    job_id: UUID,
    decision: str,
    *,
    breaking: bool,
) -> None:
    actor = access.actor_of(subject)
    await edits.decide(services.database, job_id, decision, actor, breaking=breaking)
    services.changes.publish("api", str(api_id))


async def _prepare(services: Services, subject: Known, allowed: AllowedApi, row: Row) -> None:
    """What the new version needs before calls come: its hosts allowed, its sandbox started."""
    if row["version_id"] is None:
        raise EditNotReadyError("Its job has not made a version")
    told = await _told(services, subject, row)
    if told.hosts:
        hosts = [*allowed.row["egress"]["hosts"], *told.hosts]
        await change_api(services, subject, told.api_id, ApiChange(egress={"hosts": hosts}))
    bundle = await services.bundles.bundle(str(row["version_id"]))
    version = await versions.find(
        services.database, allowed.identity, allowed.id, told.version or 0
    )
    if bundle is None or version is None:
        raise EditNotReadyError("Its version is not there any more")
    api = await current(services, allowed.id)
    await rehearse(services.sandboxes, spec_of(api, str(version["id"]), version["layer"]), bundle)


async def _visible(services: Services, subject: Known, job_id: UUID) -> Row:
    identity = access.identity_of(subject)
    row = await edits.find(services.database, identity, job_id)
    if row is None:
        raise EditNotFoundError
    allowed = AllowedApi({"id": row["api_id"], "tenant_id": row["tenant_id"]}, identity)
    await note_read(services, subject, allowed, "api.read_code")
    return row


async def _told(services: Services, subject: Known, row: Row) -> Edit:
    identity = access.identity_of(subject)
    ids = [str(row[name]) for name in ("from_version_id", "version_id") if row[name]]
    origins = await edits.origins(services.database, identity, ids)
    numbers = await versions.numbers(services.database, identity, ids)
    job = await visible(services, subject, UUID(str(row["job_id"])))
    api = await access.require_api(services, subject, str(row["api_id"]), Operation.READ)
    before, after = origins.get(ids[0]), origins.get(ids[1]) if len(ids) > 1 else None
    return Edit(
        job_id=str(row["job_id"]),
        api_id=str(row["api_id"]),
        prompt=job["prompt"],
        status=job["status"],
        from_version=numbers[ids[0]],
        version=numbers.get(ids[1]) if len(ids) > 1 else None,
        level=row["level"],
        changes=_changes(before, after),
        breaking=tuple(row["breaking"]),
        hosts=_new_hosts(api, after),
        diff=_diff(before, after),
        decision=row["decision"],
        decided_by=optional(row["decided_by"]),
        decided_at=row["decided_at"],
        created_at=row["created_at"],
    )


def _changes(before: Row | None, after: Row | None) -> tuple[str, ...]:
    if before is None or after is None:
        return ()
    from generator.difference import difference  # heavy: a gateway that nobody asks starts without

    old, new = (Contract.model_validate(one["contract"]) for one in (before, after))
    return difference(old, new).changes


def _new_hosts(api: AllowedApi, after: Row | None) -> tuple[str, ...]:
    wanted: list[Any] = [] if after is None else after["contract"].get("outbound_hosts") or []
    have = set(api.row["egress"]["hosts"])
    return tuple(str(host) for host in wanted if host not in have)


def _diff(before: Row | None, after: Row | None) -> str:
    if before is None or after is None:
        return ""
    lines = difflib.unified_diff(
        before["body"].splitlines(), after["body"].splitlines(),
        "before", "after", lineterm="", n=_CONTEXT,
    )  # fmt: skip
    return "\n".join(lines)

"""What passed every gate becomes an API that answers: stored once, however often it is tried."""

import asyncio
import hashlib
import secrets
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import structlog

from gateway.errors import NoCapacityError, SandboxesUnavailableError
from gateway.operations import inputs
from gateway.operations.egress import checked_hosts
from gateway.operations.finish import finish
from gateway.operations.openapi import captured
from gateway.operations.ports import Services
from gateway.operations.rehearse import rehearse, withdraw
from gateway.operations.restart import spec_of
from gateway.operations.slugs import slug_of
from gateway.operations.switches import hosts_in_force
from gateway.operations.versions import dependencies
from gateway.store import apis
from gateway.store.bundles import bundle_of
from gateway.store.database import DatabaseError, Row
from gateway.store.documents import StoredDocument
from gateway.store.jobs import HeldJob
from generator.types import EventKind
from sandbox.types import Bundle, Lease, SandboxSpec

_NAMES = 8  # tried before giving up
_STARTS = 5
_PAUSE_SECONDS = 2.0
_TAKEN = frozenset({"name_taken", "slug_taken"})
_log = structlog.get_logger(__name__)


async def store_outcome(
    services: Services, held: HeldJob, job: Row, outcome: Mapping[str, Any]
) -> str | None:
    """Start it as the API that it will be, store all of it in one step; its id.

    None when the job is somebody else's by now. `Any`: JSON, as `Outcome.to_json` makes it.
    """
    values = await _values(services, job, outcome)
    spec = spec_of({**values, "generation": 1, "resources": {}, "tier": None}, *_version(values))
    hosts = await hosts_in_force(services, values["egress"]["hosts"])
    bundle = bundle_of(values["code"], values["lock"], hosts)
    stored: Row | None = None
    try:
        lease = await started(services, spec, bundle)
        document = await captured(services, lease)
        stored = await finish(_stored(held, values, outcome, document))
    finally:
        if stored is None and not await _is_stored(held, values):
            await withdraw(services.sandboxes, spec)
    if stored is None:
        return None
    services.changes.publish("api", values["id"])
    return str(values["id"])


def _version(values: Mapping[str, Any]) -> tuple[str, str]:
    return values["version_id"], values["layer"]


async def _values(services: Services, job: Row, outcome: Mapping[str, Any]) -> dict[str, Any]:
    """As `create_api` takes them. The job has no key made: a secret would lie in its events."""
    code, contract = outcome["code"], outcome["contract"]
    inputs.checked_code(code, services.code_bytes)
    lock = await dependencies(services, code)
    return {
        "id": str(job["new_api_id"]),
        "version_id": str(job["new_version_id"]),
        "tenant_id": str(job["tenant_id"]),
        "name": job["name"] or _title(contract["title"]),
        "description": contract["summary"],
        "code": code,
        "digest": hashlib.sha256(code.encode()).hexdigest(),
        "egress": {"hosts": checked_hosts(contract["outbound_hosts"])},
        "lock": lock.text,
        "layer": lock.digest,
    }


def _title(text: str) -> str:
    """A name that an API may have."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:80] or "API"


async def started(services: Services, spec: SandboxSpec, bundle: Bundle) -> Lease:
    """As soon as there is room."""
    for _ in range(_STARTS - 1):
        try:
            return await rehearse(services.sandboxes, spec, bundle)
        except (NoCapacityError, SandboxesUnavailableError) as error:
            _log.warning("job_waits_for_a_sandbox", api_id=spec.api_id, code=error.code)
        await asyncio.sleep(_PAUSE_SECONDS)
    return await rehearse(services.sandboxes, spec, bundle)


async def _stored(
    held: HeldJob,
    values: Mapping[str, Any],
    outcome: Mapping[str, Any],
    document: StoredDocument,
) -> Row | None:
    """Under the first name and slug that are free."""
    origin = {
        name: outcome.get(name)
        for name in ("contract", "body", "findings", "report", "model", "level")
    }
    event = {
        "kind": EventKind.VERSION,
        "text": "Version 1 is stored.",
        "data": {"api_id": values["id"], "version": 1},
    }
    name, suffix, number = values["name"], "", 1
    for left in reversed(range(_NAMES)):
        api = {**values, "name": name, "slug": slug_of(name, suffix)}
        try:
            return await held.store(api, origin, [event], document)
        except DatabaseError as error:
            if error.code not in _TAKEN or not left:
                raise
            if error.code == "name_taken":
                number += 1
                name = f"{values['name'][:90]} {number}"
            suffix = secrets.token_hex(3)
    return None


async def _is_stored(held: HeldJob, values: Mapping[str, Any]) -> bool:
    """Another worker may have been faster, and its API is this very one."""
    return await apis.exists(held.database, UUID(values["id"]))

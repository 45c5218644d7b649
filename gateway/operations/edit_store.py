"""What an edit made becomes the next version: started once, stored once, deployed nowhere."""

import hashlib
from collections.abc import Mapping
from typing import Any

from gateway.operations import inputs
from gateway.operations.access import ApiNotFoundError
from gateway.operations.finish import finish
from gateway.operations.job_store import started
from gateway.operations.openapi import captured
from gateway.operations.ports import Services
from gateway.operations.rehearse import withdraw
from gateway.operations.restart import spec_of
from gateway.operations.versions import dependencies
from gateway.store import edits
from gateway.store.database import Row
from gateway.store.jobs import HeldJob
from generator.types import EventKind

_KEPT = ("contract", "body", "findings", "report", "model", "level", "breaking")


async def store_edit(
    services: Services, held: HeldJob, job: Row, api: Row, outcome: Mapping[str, Any]
) -> Row | None:
    """api_id and version; None when the job is somebody else's by now. `Any`: JSON."""
    code = outcome["code"]
    inputs.checked_code(code, services.code_bytes)
    lock = await dependencies(services, code)
    spec = spec_of(api, str(job["new_version_id"]), lock.digest)
    bundle = await services.bundles.bundle_for(str(api["id"]), code, lock.text)
    if bundle is None:
        raise ApiNotFoundError
    try:
        document = await captured(services, await started(services, spec, bundle))
        version = {
            "code": code,
            "digest": hashlib.sha256(code.encode()).hexdigest(),
            "lock": lock.text,
            "layer": lock.digest,
        }
        origin = {name: outcome.get(name) for name in _KEPT}
        event = {
            "kind": EventKind.VERSION,
            "text": "The next version is stored; it answers when you say so.",
            "data": {"api_id": str(api["id"])},
        }
        return await finish(edits.store(held, version, origin, [event], document))
    finally:  # it answers no calls yet
        await withdraw(services.sandboxes, spec)

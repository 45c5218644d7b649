"""Fresh sandboxes for an API: up before the old ones get no more calls."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import structlog

from gateway.errors import SandgateError
from gateway.operations import access, inputs
from gateway.operations.ports import Services
from gateway.operations.rehearse import rehearse, withdraw
from gateway.store import apis
from gateway.store.bundles import Instead
from gateway.store.database import SERVICE, Row
from gateway.store.routes import floor_of
from sandbox.types import SandboxError, SandboxSpec

_log = structlog.get_logger(__name__)


def spec_of(api: Row, version_id: str, layer: str, generation: int | None = None) -> SandboxSpec:
    """The sandbox that a call to this version of the API uses; `api` is its row."""
    return SandboxSpec(
        api_id=str(api["id"]),
        version_id=version_id,
        generation=api["generation"] if generation is None else generation,
        resources=inputs.resources_of(api["resources"]),
        tenant_id=str(api["tenant_id"]),
        floor=floor_of(api["tier"]),
        layer=layer,
    )


async def current(services: Services, api_id: UUID) -> Row:
    """The API's row as it is now."""
    row = await apis.find(services.database, SERVICE, api_id)
    if row is None:
        raise access.ApiNotFoundError
    return row


async def next_specs(services: Services, api: Row) -> list[SandboxSpec]:
    """The sandboxes of the next generation; none for an API that takes no calls."""
    if api["status"] != "active":
        return []
    active = await apis.active_deployments(services.database, SERVICE, [str(api["id"])])
    following = api["generation"] + 1
    return [spec_of(api, str(row["version_id"]), row["layer"], following) for row in active]


async def rehearse_all(
    services: Services, specs: Sequence[SandboxSpec], instead: Instead | None = None
) -> None:
    """Start each with what it will be given; the failure of one is raised.

    What is left of an attempt that went wrong earlier may know other secrets, so it goes first.
    """
    for spec in specs:
        bundle = await services.bundles.bundle(spec.version_id, instead)
        if bundle is None:
            raise access.ApiNotFoundError
        await withdraw(services.sandboxes, spec)
        await rehearse(services.sandboxes, spec, bundle)


async def withdraw_unused(services: Services, api: Row, specs: Sequence[SandboxSpec]) -> None:
    """Stop what was started, unless somebody else made that generation the one in use."""
    row = await apis.find(services.database, SERVICE, UUID(str(api["id"])))
    if row is not None and row["generation"] != api["generation"]:
        return
    await withdraw_all(services, specs)


async def withdraw_all(services: Services, specs: Sequence[SandboxSpec]) -> None:
    """Stop those of them that live."""
    for spec in specs:
        await withdraw(services.sandboxes, spec)


async def tell_egress(services: Services, api_id: UUID) -> None:
    """Let the living sandboxes connect to what is stored now, and to nothing else.

    When they cannot be told, they are replaced: a door that was closed must not stay open.
    """
    try:
        policy = await services.bundles.egress(str(api_id))
        if policy is not None:
            await services.sandboxes.set_egress(str(api_id), policy)
    except (SandboxError, SandgateError):
        _log.warning("egress_not_told", api_id=str(api_id), exc_info=True)
        await _replace(services, api_id)


async def _replace(services: Services, api_id: UUID) -> None:
    row = await apis.find(services.database, SERVICE, api_id)
    if row is not None:
        await apis.bump_generation(services.database, api_id, row["generation"], None)
        services.changes.publish("api", str(api_id))


def described(error: SandgateError) -> str:
    """A failure in one line for its owner."""
    return f"{error.code}: {error.detail}"


def merged(api: Row, values: Mapping[str, Any]) -> Row:
    """The row as it would be with these values. `Any`: checked cells of a row."""
    return {**api, **{name: value for name, value in values.items() if name in api}}

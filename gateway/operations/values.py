"""What the use cases answer; plain values without HTTP and without secrets unless named so."""

from dataclasses import dataclass
from typing import Any

from gateway.store.call_settings import CallSettings
from gateway.store.database import Row

LimitsJson = dict[str, int | None]


@dataclass(frozen=True, slots=True)
class ResourcesView:
    """What each sandbox of the API may use."""

    memory_mb: int
    cpus: float
    pids: int
    tmp_mb: int


@dataclass(frozen=True, slots=True)
class EgressView:
    """Where the API may connect to; nowhere when the list is empty."""

    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InstancesView:
    """How many sandboxes each version may have, and how many calls each answers at once."""

    min: int
    max: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class ActiveVersion:
    """A version that answers now and its share of the calls in per cent."""

    version: int
    weight: int


@dataclass(frozen=True, slots=True)
class Api:
    """An API as its tenant sees it."""

    id: str
    tenant_id: str
    slug: str
    name: str
    description: str
    status: str
    generation: int
    limits: LimitsJson
    resources: ResourcesView
    egress: EgressView
    tier: str | None
    instances: InstancesView
    call_settings: CallSettings
    price_nano_usd: int
    versions: tuple[ActiveVersion, ...]
    created_by: str | None
    created_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class CreatedApi:
    """A new API with the secret that is shown this once."""

    api: Api
    version: int
    packages: tuple[str, ...]
    api_key: str
    key_id: str
    key_display: str


@dataclass(frozen=True, slots=True)
class VersionSummary:
    """An immutable version without its code."""

    id: str
    api_id: str
    version: int
    digest: str
    created_by: str | None
    created_at: str


@dataclass(frozen=True, slots=True)
class Version:
    """An immutable version with its code; `packages` are what its dependencies came to."""

    id: str
    api_id: str
    version: int
    digest: str
    created_by: str | None
    created_at: str
    code: str
    packages: tuple[str, ...]
    openapi_note: str | None = None  # why the version has no OpenAPI document


@dataclass(frozen=True, slots=True)
class AddedVersion:
    """Number of the version just stored, and whether it answers now."""

    id: str
    api_id: str
    version: int
    deployed: bool
    packages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Deployment:
    """Which version answers which share of the calls; `status` is active or replaced."""

    id: str
    api_id: str
    version: int
    weight: int
    status: str
    created_by: str | None
    created_at: str


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret. `ends_at` is when a rotated one gives way to `replaced_by`."""

    id: str
    tenant_id: str
    name: str
    display: str
    limits: LimitsJson
    scopes: dict[str, list[str]]
    allowed_addresses: tuple[str, ...]
    expires_at: str | None
    ends_at: str | None
    replaced_by: str | None
    generation: int
    revoked_at: str | None
    revoked_reason: str | None
    last_used_at: str | None
    created_at: str


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant; `role` is the asking user's, None for an administrator from outside."""

    id: str
    name: str
    kind: str
    owner_id: str | None
    plan: str
    status: str
    limits: LimitsJson
    created_at: str
    role: str | None = None
    suspended_reason: str | None = None


def key_of(row: Row) -> Key:
    """From a row of `consumer_api_keys`."""
    return Key(
        id=str(row["id"]),
        tenant_id=str(row["tenant_id"]),
        name=row["name"],
        display=row["display"],
        limits=dict(row["limits"]),
        scopes=dict(row["scopes"]),
        allowed_addresses=tuple(row["allowed_addresses"]),
        expires_at=row["expires_at"],
        ends_at=row["ends_at"],
        replaced_by=optional(row["replaced_by"]),
        generation=row["generation"],
        revoked_at=row["revoked_at"],
        revoked_reason=row["revoked_reason"],
        last_used_at=row["last_used_at"],
        created_at=row["created_at"],
    )


def tenant_of(row: Row, role: str | None = None) -> Tenant:
    """From a row of `tenants`."""
    return Tenant(
        id=str(row["id"]),
        name=row["name"],
        kind=row["kind"],
        owner_id=optional(row["owner_id"]),
        plan=row["plan"],
        status=row["status"],
        limits=dict(row["limits"]),
        created_at=row["created_at"],
        role=role,
        suspended_reason=row["suspended_reason"],
    )


def summary_of(row: Row) -> VersionSummary:
    """From a row of `api_versions`."""
    return VersionSummary(
        id=str(row["id"]),
        api_id=str(row["api_id"]),
        version=row["n"],
        digest=row["digest"],
        created_by=optional(row["created_by"]),
        created_at=row["created_at"],
    )


def version_of(row: Row) -> Version:
    """From a row of `api_versions` with its code."""
    plain = summary_of(row)
    return Version(
        **{name: getattr(plain, name) for name in plain.__slots__},
        code=row["code"],
        packages=packages_of(row["lock"]),
        openapi_note=row["openapi_note"],
    )


def deployment_of(row: Row) -> Deployment:
    """From a row of `deployments` that carries its version's number `n`."""
    return Deployment(
        id=str(row["id"]),
        api_id=str(row["api_id"]),
        version=row["n"],
        weight=row["weight"],
        status=row["status"],
        created_by=optional(row["created_by"]),
        created_at=row["created_at"],
    )


def packages_of(lock: str) -> tuple[str, ...]:
    """`name==version` of each line of a lock."""
    return tuple(line.partition(" ")[0] for line in lock.splitlines())


def optional(value: Any) -> str | None:
    """Ids are text in JSON, and absent stays absent. `Any`: a cell of a row."""
    return None if value is None else str(value)

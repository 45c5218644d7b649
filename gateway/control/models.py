"""Bodies and pages of the control API as JSON; the use cases hold the rules."""

from dataclasses import asdict
from typing import Annotated, ClassVar, Generic, Literal, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StringConstraints,
    field_validator,
    model_validator,
)

from gateway.control.call_settings import CallSettingsBody, CallSettingsView, Price
from gateway.limits.plan import MAX_QUANTITY
from gateway.operations.egress import MAX_HOSTS
from gateway.operations.inputs import BOUNDS, CONCURRENCY_MAX, INSTANCES_MAX
from gateway.operations.values import Api

Item = TypeVar("Item")
Quantity = Annotated[StrictInt, Field(ge=1, le=MAX_QUANTITY)]
HostText = Annotated[str, StringConstraints(max_length=1024)]
TierName = Literal["vm", "gvisor", "runc", "bwrap"]
PageLimit = Annotated[int, Query(ge=1, le=200)]
PageOffset = Annotated[int, Query(ge=0, le=1_000_000)]


class Body(BaseModel):
    """Unknown members are mistakes, not noise."""

    model_config = ConfigDict(extra="forbid")


class Patch(Body):
    """Absent leaves a thing as it is; null is no value for anything but what may be null."""

    may_be_null: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="after")
    def _no_null(self) -> "Patch":
        for name in self.model_fields_set - self.may_be_null:
            if getattr(self, name) is None:
                raise ValueError(f"{name} cannot be null; leave it out to keep it")
        return self


class LimitsBody(Body):
    """Calls per window; null is unlimited, absent is what the plan or the tenant says."""

    minute: Quantity | None = None
    hour: Quantity | None = None
    day: Quantity | None = None

    def named(self) -> dict[str, int | None]:
        """Only the windows that were sent."""
        return self.model_dump(exclude_unset=True)


class ResourcesBody(Body):
    """What one sandbox may use; absent is the default."""

    memory_mb: StrictInt | None = Field(
        None, ge=int(BOUNDS["memory_mb"].low), le=int(BOUNDS["memory_mb"].high)
    )
    cpus: float | None = Field(
        None, ge=BOUNDS["cpus"].low, le=BOUNDS["cpus"].high, strict=True, allow_inf_nan=False
    )
    pids: StrictInt | None = Field(None, ge=int(BOUNDS["pids"].low), le=int(BOUNDS["pids"].high))
    tmp_mb: StrictInt | None = Field(
        None, ge=int(BOUNDS["tmp_mb"].low), le=int(BOUNDS["tmp_mb"].high)
    )

    def named(self) -> dict[str, float]:
        """Only what was sent with a value."""
        return self.model_dump(exclude_none=True)


class EgressBody(Body):
    """Where the API may connect to: `host`, `host:port`, `*.domain` or `*.domain:port`."""

    hosts: Annotated[list[HostText], Field(max_length=MAX_HOSTS)]


class InstancesBody(Body):
    """How many sandboxes each version may have; absent is the default."""

    min: StrictInt | None = Field(None, ge=0, le=INSTANCES_MAX)
    max: StrictInt | None = Field(None, ge=1, le=INSTANCES_MAX)
    concurrency: StrictInt | None = Field(None, ge=1, le=CONCURRENCY_MAX)

    def named(self) -> dict[str, int]:
        """Only what was sent with a value."""
        return self.model_dump(exclude_none=True)


class Page(BaseModel, Generic[Item]):
    """Part of a list; there may be more when it is as long as `limit`."""

    items: list[Item]
    limit: int
    offset: int


class ActiveVersionView(BaseModel):
    """A version that answers now and its share of the calls in per cent."""

    version: int
    weight: int


class ResourcesView(BaseModel):
    """What each sandbox of the API may use."""

    memory_mb: int
    cpus: float
    pids: int
    tmp_mb: int


class EgressView(BaseModel):
    """Where the API may connect to; nowhere when the list is empty."""

    hosts: list[str]


class InstancesView(BaseModel):
    """How many sandboxes each version may have, and how many calls each answers at once."""

    min: int
    max: int
    concurrency: int


class ApiView(BaseModel):
    """An API; `version` is the one that answers most calls, `tier` the weakest that will do."""

    id: str
    tenant_id: str
    slug: str
    name: str
    description: str
    status: str
    endpoint_url: str
    version: int | None
    versions: list[ActiveVersionView]
    generation: int
    limits: dict[str, int | None]
    resources: ResourcesView
    egress: EgressView
    tier: TierName | None
    instances: InstancesView
    call_settings: CallSettingsView
    price_nano_usd: int
    created_by: str | None
    created_at: str
    updated_at: str


class CreatedApiView(ApiView):
    """A new API; `api_key` is shown this once, `packages` are its dependencies."""

    packages: list[str]
    api_key: str
    key_id: str
    key_display: str


class CreateApiBody(Body):
    """A new API from one file of Python, or from a template of the library."""

    name: str
    code: str | None = None
    template: str | None = None
    description: str = ""
    tenant_id: UUID | None = None
    limits: LimitsBody = LimitsBody()
    resources: ResourcesBody = Field(default_factory=lambda: ResourcesBody.model_validate({}))
    egress: EgressBody = EgressBody(hosts=[])
    tier: TierName | None = None
    instances: InstancesBody = Field(default_factory=lambda: InstancesBody.model_validate({}))
    call_settings: CallSettingsBody = Field(
        default_factory=lambda: CallSettingsBody.model_validate({})
    )
    price_nano_usd: Price = 0

    @model_validator(mode="after")
    def _one_source(self) -> "CreateApiBody":
        if (self.code is None) == (self.template is None):
            raise ValueError("send either code or template")
        return self


class PatchApiBody(Patch):
    """What may change about an API; an object replaces all that was set in its place.

    A null `tier` asks for none in particular.
    """

    may_be_null: ClassVar[frozenset[str]] = frozenset({"tier"})

    name: str | None = None
    description: str | None = None
    status: Literal["active", "paused"] | None = None
    limits: LimitsBody | None = None
    resources: ResourcesBody | None = None
    egress: EgressBody | None = None
    tier: TierName | None = None
    instances: InstancesBody | None = None
    call_settings: CallSettingsBody | None = None
    price_nano_usd: Price | None = None


class CreateVersionBody(Body):
    """Code of the next version."""

    code: str
    deploy: StrictBool = True


class DeployBody(Body):
    """Which version shall answer which share of the calls, in per cent."""

    version: Annotated[StrictInt, Field(ge=1, le=2**31 - 1)]
    weight: Annotated[StrictInt, Field(ge=1, le=100)] = 100


class PatchTenantBody(Patch):
    """What an administrator may change; `limits` replaces all overrides.

    Null for a window is unlimited in that window, null for all of `limits` in every one.
    """

    plan: str | None = None
    status: Literal["active", "suspended"] | None = None
    limits: LimitsBody | None = None

    @field_validator("limits", mode="before")
    @classmethod
    def _unlimited(cls, value: object) -> object:
        return dict.fromkeys(LimitsBody.model_fields) if value is None else value


_PARTS = ("resources", "egress", "instances", "call_settings")


def api_fields(api: Api, base_url: str) -> dict[str, object]:
    """Members of `ApiView`; the endpoint is under the address the client used."""
    first = max(api.versions, key=lambda active: active.weight, default=None)
    return {
        **{name: getattr(api, name) for name in api.__slots__},
        "version": first.version if first else None,
        "versions": [{"version": v.version, "weight": v.weight} for v in api.versions],
        **{name: asdict(getattr(api, name)) for name in _PARTS},
        "endpoint_url": f"{base_url.rstrip('/')}/{api.id}",
    }


class AnalyticsView(BaseModel):
    """Sums over the recorded calls of one API."""

    model_config = ConfigDict(extra="allow")

    api_id: str
    days: int
    since: str
    calls: int = 0
    errors: int = 0
    client_errors: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    percentile_error: float = 0
    request_bytes: int = 0
    response_bytes: int = 0
    by_day: list[dict[str, str | int | float | None]] = []
    by_version: list[dict[str, str | int | float | None]] = []
    by_key: list[dict[str, str | int | float | None]] = []
    top_paths: list[dict[str, str | int | float | None]] = []

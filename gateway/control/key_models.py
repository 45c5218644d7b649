"""Bodies and answers about keys as JSON; the use cases hold the rules."""

from typing import Annotated, ClassVar

from pydantic import AwareDatetime, BaseModel, Field, StrictInt, StringConstraints

from gateway.control.models import Body, LimitsBody, Patch
from gateway.operations.key_inputs import MAX_ADDRESSES, MAX_OVERLAP_SECONDS, MAX_PATHS, METHODS

MethodText = Annotated[str, StringConstraints(max_length=20)]
PathText = Annotated[str, StringConstraints(max_length=300)]
AddressText = Annotated[str, StringConstraints(max_length=60)]
Addresses = Annotated[list[AddressText], Field(max_length=MAX_ADDRESSES)]


class ScopesBody(Body):
    """What a key may call; an absent part allows all. `/items/*` is everything below `/items/`."""

    methods: list[MethodText] | None = Field(None, max_length=len(METHODS))
    paths: list[PathText] | None = Field(None, max_length=MAX_PATHS)

    def named(self) -> dict[str, list[str]]:
        """Only what was sent with a value."""
        return self.model_dump(exclude_none=True)


class CreateKeyBody(Body):
    """A new key; `allowed_addresses` are addresses and networks it may be used from."""

    name: str | None = None
    expires_at: AwareDatetime | None = None
    limits: LimitsBody = LimitsBody()
    scopes: ScopesBody = Field(default_factory=lambda: ScopesBody.model_validate({}))
    allowed_addresses: Addresses = Field(default_factory=list)


class PatchKeyBody(Patch):
    """What may change about a key; each replaces all that was set in its place.

    A null `expires_at` means that it never expires.
    """

    may_be_null: ClassVar[frozenset[str]] = frozenset({"expires_at"})

    name: str | None = None
    expires_at: AwareDatetime | None = None
    limits: LimitsBody | None = None
    scopes: ScopesBody | None = None
    allowed_addresses: Addresses | None = None

    def named(self) -> dict[str, object]:
        """Only what was sent."""
        values: dict[str, object] = {}
        for name in self.model_fields_set:
            value = getattr(self, name)
            values[name] = value.named() if isinstance(value, LimitsBody | ScopesBody) else value
        return values


class RotateKeyBody(Body):
    """How long the old key goes on beside its successor; a day when nothing is said."""

    overlap_seconds: StrictInt | None = Field(None, ge=0, le=MAX_OVERLAP_SECONDS)


class KeyView(BaseModel):
    """A key without its secret."""

    id: str
    tenant_id: str
    name: str
    display: str
    limits: dict[str, int | None]
    scopes: dict[str, list[str]]
    allowed_addresses: list[str]
    expires_at: str | None
    ends_at: str | None
    replaced_by: str | None
    generation: int
    revoked_at: str | None
    revoked_reason: str | None
    last_used_at: str | None
    created_at: str


class CreatedKeyView(KeyView):
    """A new key; `key` is shown this once."""

    key: str
    api_ids: list[str]


class RotatedKeyView(CreatedKeyView):
    """The successor of the key `replaces`, which works until `replaces_until`."""

    replaces: str
    replaces_until: str

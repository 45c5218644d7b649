"""A key that may be used: the value, the ways a key is refused, and their public texts. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.auth.restriction import Restriction
from gateway.errors import ForbiddenError, SandgateError, UnauthorizedError

Quantities = Mapping[str, int | None]  # window → calls; None is unlimited
_CHALLENGE = 'Bearer realm="sandgate"'
_INVALID = f'{_CHALLENGE}, error="invalid_token"'


class KeyMissingError(UnauthorizedError):
    """Nothing was presented; RFC 6750 wants no error attribute then."""

    code, title = "key_missing", "An API key is required"

    def __init__(self) -> None:
        super().__init__(
            "Send the key as 'Authorization: Bearer <key>' or as 'X-API-Key: <key>'.",
            headers={"WWW-Authenticate": _CHALLENGE},
        )


class _InvalidKeyError(UnauthorizedError):
    """Something was presented that opens nothing."""

    text = ""

    def __init__(self) -> None:
        super().__init__(self.text, headers={"WWW-Authenticate": _INVALID})


class KeyMalformedError(_InvalidKeyError):
    """Not a key of ours: wrong shape or wrong checksum."""

    code, title = "key_malformed", "This is not an API key"
    text = "The key has a typing error or is cut off. Copy it again in full."


class KeyUnknownError(_InvalidKeyError):
    """Well formed, but nobody has it."""

    code, title = "key_unknown", "Unknown API key"
    text = "This key does not exist here. Create one and use that."


class KeyRevokedError(_InvalidKeyError):
    """Its owner took it back."""

    code, title = "key_revoked", "Revoked API key"
    text = "This key was revoked. Create a new one."


class KeyExpiredError(_InvalidKeyError):
    """Its time is over."""

    code, title = "key_expired", "Expired API key"
    text = "This key has expired. Create a new one."


class KeyReplacedError(_InvalidKeyError):
    """It was rotated, and the time beside its successor is over."""

    code, title = "key_replaced", "Replaced API key"
    text = "This key was rotated and its time is over. Use its successor."


class TenantSuspendedError(ForbiddenError):
    """The key is good; the tenant that owns it may not call."""

    code, title = "tenant_suspended", "The tenant of this key is suspended"


@dataclass(frozen=True, slots=True, weakref_slot=True)
class VerifiedKey:
    """What a call needs to know about its key; the key's text is not in it.

    `root_id` is what it counts as: a rotated key and its successors are one in every limit.
    """

    key_id: str
    tenant_id: str
    tenant_status: str
    plan: str
    plan_limits: Quantities
    tenant_limits: Quantities
    limits: Quantities
    api_ids: frozenset[str]
    expires_at: float | None  # Unix seconds
    is_revoked: bool
    ends_at: float | None = None  # Unix seconds; of a rotated key
    root_id: str = ""
    generation: int = 0  # rises with every change of it
    restriction: Restriction | None = None
    tenant_reason: str = ""  # why the tenant is suspended

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "VerifiedKey":
        """From what `gateway_key` answers."""
        return cls(
            key_id=row["key_id"],
            tenant_id=row["tenant_id"],
            tenant_status=row["tenant_status"],
            plan=row["plan"],
            plan_limits=row["plan_limits"] or {},
            tenant_limits=row["tenant_limits"] or {},
            limits=row["limits"] or {},
            api_ids=frozenset(row["api_ids"] or ()),
            expires_at=_unix(row["expires_at"]),
            is_revoked=row["revoked_at"] is not None,
            ends_at=_unix(row.get("ends_at")),
            root_id=row.get("root_id") or row["key_id"],
            generation=row.get("generation") or 0,
            restriction=Restriction.of(row.get("scopes") or {}, row.get("allowed_addresses") or ()),
            tenant_reason=row.get("tenant_reason") or "",
        )

    def refusal(self, now: float) -> SandgateError | None:
        """Why a call at `now` is refused; None when the key may be used."""
        if self.is_revoked:
            return KeyRevokedError()
        if self.expires_at is not None and now >= self.expires_at:
            return KeyExpiredError()
        if self.ends_at is not None and now >= self.ends_at:
            return KeyReplacedError()
        if self.tenant_status != "active":
            return TenantSuspendedError(self.tenant_reason)
        return None


def _unix(timestamp: str | None) -> float | None:
    """Postgres' JSON form of a timestamptz; it always carries its offset."""
    return None if timestamp is None else datetime.fromisoformat(timestamp).timestamp()

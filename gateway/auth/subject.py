"""Who makes this request; always an explicit value, Anonymous included."""

from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Nobody presented anything."""


@dataclass(frozen=True, slots=True)
class User:
    """A person with a valid session. `claims` is what row-level security sees.

    `impersonated_by` is the administrator who looks through this person's eyes.
    """

    user_id: UUID
    email: str
    session_id: UUID
    is_admin: bool
    claims: str  # JSON text of the access token's claims
    token: str = field(default="", repr=False)  # the access token itself
    impersonated_by: UUID | None = None


@dataclass(frozen=True, slots=True)
class Admin:
    """Holder of the installation's admin key; a machine, not a person."""


Subject = Anonymous | User | Admin

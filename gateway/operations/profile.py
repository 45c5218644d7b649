"""Profiles: one's own, and what others show of theirs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from gateway.auth.subject import Anonymous, Subject, User
from gateway.errors import ForbiddenError, NotFoundError
from gateway.operations import access
from gateway.operations import profile_inputs as inputs
from gateway.operations.access import Known
from gateway.operations.ports import Services
from gateway.operations.profile_inputs import Link
from gateway.operations.values import optional
from gateway.store import profiles
from gateway.store.database import ANONYMOUS, Identity, Row

_DEFAULTS: Mapping[str, str] = {"theme": "system", "language": "en", "time_zone": "UTC"}


class PersonRequiredError(ForbiddenError):
    """The admin key is nobody's, so it has nothing of its own."""

    code, title = "person_required", "Only people have this"


class ProfileNotFoundError(NotFoundError):
    """Nobody has this id, or they show nothing."""

    code, title = "profile_not_found", "Profile not found"


@dataclass(frozen=True, slots=True)
class PublicProfile:
    """What somebody shows to others."""

    id: str
    display_name: str
    bio: str
    links: tuple[Link, ...]
    icon_id: str | None
    icon_url: str | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """One's own, with what others never see."""

    id: str
    email: str | None
    display_name: str
    bio: str
    links: tuple[Link, ...]
    is_public: bool
    preferences: Mapping[str, str]
    icon_id: str | None
    created_at: str
    updated_at: str
    icon_url: str | None = None


@dataclass(frozen=True, slots=True)
class ProfileChange:
    """Input of `change_profile`; None leaves a thing as it is."""

    display_name: str | None = None
    bio: str | None = None
    links: Sequence[Link] | None = None
    is_public: bool | None = None
    preferences: Mapping[str, str | None] | None = None


def require_person(subject: Known) -> User:
    """The person who asks."""
    if not isinstance(subject, User):
        raise PersonRequiredError("The admin key is nobody's; sign in as a person")
    return subject


async def own_profile(services: Services, subject: Known) -> Profile:
    """The profile of whoever asks."""
    user = require_person(subject)
    identity = access.own_identity(user)
    own = await profiles.own(services.database, identity, user.user_id)
    shown = await profiles.shown(services.database, identity, user.user_id)
    if own is None or shown is None:
        raise ProfileNotFoundError
    return _own(own, shown)


async def public_profile(services: Services, subject: Subject, user_id: UUID) -> PublicProfile:
    """What this person shows; nobody learns whether somebody who shows nothing exists."""
    row = await profiles.shown(services.database, _reader(subject), user_id)
    if row is None or not row["is_public"]:
        raise ProfileNotFoundError
    return PublicProfile(
        id=str(row["id"]),
        display_name=row["display_name"],
        bio=row["bio"],
        links=_links(row),
        icon_id=optional(row["icon_id"]),
    )


async def change_profile(services: Services, subject: Known, change: ProfileChange) -> Profile:
    """Change one's own profile, as a whole or not at all."""
    user = require_person(subject)
    values = _checked(change)
    if values:
        await profiles.change(services.database, user.user_id, values)
    return await own_profile(services, user)


def _checked(change: ProfileChange) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if change.display_name is not None:
        values["display_name"] = inputs.checked_display_name(change.display_name)
    if change.bio is not None:
        values["bio"] = inputs.checked_text(change.bio, inputs.BIO_CHARACTERS, "A bio")
    if change.links is not None:
        values["links"] = inputs.checked_links(change.links)
    if change.is_public is not None:
        values["is_public"] = change.is_public
    if change.preferences is not None:
        values["preferences"] = inputs.checked_preferences(change.preferences)
    return values


def _reader(subject: Subject) -> Identity:
    return ANONYMOUS if isinstance(subject, Anonymous) else access.own_identity(subject)


def _links(row: Row) -> tuple[Link, ...]:
    return tuple(Link(link["label"], link["url"]) for link in row["links"])


def _own(own: Row, shown: Row) -> Profile:
    return Profile(
        id=str(own["id"]),
        email=own["email"],
        display_name=shown["display_name"],
        bio=shown["bio"],
        links=_links(shown),
        is_public=shown["is_public"],
        preferences={**_DEFAULTS, **own["preferences"]},
        icon_id=optional(shown["icon_id"]),
        created_at=own["created_at"],
        updated_at=shown["updated_at"],
    )

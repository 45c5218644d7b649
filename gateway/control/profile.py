"""Routes of profiles."""

from dataclasses import replace
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import Field, StrictBool

from gateway.auth.subject import Subject
from gateway.control.models import Body, Patch
from gateway.control.services import Control, ControlServices
from gateway.control.subject import Signed, subject_of
from gateway.operations import profile, uploads
from gateway.operations import profile_inputs as inputs
from gateway.operations.profile import Profile, PublicProfile
from gateway.operations.profile_inputs import Link

Shown = TypeVar("Shown", Profile, PublicProfile)

router = APIRouter(prefix="/api", tags=["profile"])


class LinkBody(Body):
    """An http or https address with the words it is shown by."""

    label: str = Field(max_length=4 * inputs.LABEL_CHARACTERS)
    url: str = Field(max_length=4 * inputs.URL_CHARACTERS)


class PreferencesBody(Body):
    """How pages shall look to you; null goes back to the default, absent leaves it."""

    theme: str | None = Field(None, max_length=100)
    language: str | None = Field(None, max_length=100)
    time_zone: str | None = Field(None, max_length=100)


class PatchProfileBody(Patch):
    """What you may change about yourself; `links` replaces all of them."""

    display_name: str | None = None
    bio: str | None = None
    links: Annotated[list[LinkBody], Field(max_length=100)] | None = None
    is_public: StrictBool | None = None
    preferences: PreferencesBody | None = None


@router.get("/profile")
async def read_profile(control: Control, subject: Signed) -> Profile:
    """Your profile."""
    return _with_icon(control, await profile.own_profile(control.operations, subject))


@router.patch("/profile")
async def change_profile(body: PatchProfileBody, control: Control, subject: Signed) -> Profile:
    """Change your profile; nobody else sees it until `is_public` is true."""
    links = None if body.links is None else [Link(link.label, link.url) for link in body.links]
    asked = body.preferences
    change = profile.ProfileChange(
        display_name=body.display_name,
        bio=body.bio,
        links=links,
        is_public=body.is_public,
        preferences=None if asked is None else asked.model_dump(exclude_unset=True),
    )
    return _with_icon(control, await profile.change_profile(control.operations, subject, change))


@router.get("/profile/{user_id}")
async def read_public_profile(
    user_id: UUID, control: Control, subject: Annotated[Subject, Depends(subject_of)]
) -> PublicProfile:
    """What somebody shows of themselves; no session is needed."""
    found = await profile.public_profile(control.operations, subject, user_id)
    return _with_icon(control, found)


def _with_icon(control: ControlServices, found: Shown) -> Shown:
    now = control.operations.clock()
    return replace(found, icon_url=uploads.icon_url(found.icon_id, control.uploads, now))

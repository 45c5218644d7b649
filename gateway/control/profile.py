"""Routes of profiles."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import Field, StrictBool

from gateway.auth.subject import Subject
from gateway.control.models import Body, Patch
from gateway.control.services import Ops
from gateway.control.subject import Signed, subject_of
from gateway.operations import profile
from gateway.operations import profile_inputs as inputs
from gateway.operations.profile import Profile, PublicProfile
from gateway.operations.profile_inputs import Link

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
async def read_profile(services: Ops, subject: Signed) -> Profile:
    """Your profile."""
    return await profile.own_profile(services, subject)


@router.patch("/profile")
async def change_profile(body: PatchProfileBody, services: Ops, subject: Signed) -> Profile:
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
    return await profile.change_profile(services, subject, change)


@router.get("/profile/{user_id}")
async def read_public_profile(
    user_id: UUID, services: Ops, subject: Annotated[Subject, Depends(subject_of)]
) -> PublicProfile:
    """What somebody shows of themselves; no session is needed."""
    return await profile.public_profile(services, subject, user_id)

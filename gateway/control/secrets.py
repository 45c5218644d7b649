"""Routes of secrets: they can be set and forgotten, and are never shown."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import Field, SecretStr

from gateway.control.disconnect import while_connected
from gateway.control.models import Body, HostText, Page
from gateway.control.services import Ops
from gateway.control.subject import Signed
from gateway.operations import secrets
from gateway.operations.egress import MAX_HOSTS
from gateway.operations.secrets import MAX_CHARACTERS, ChangedSecret, Secret

router = APIRouter(prefix="/api/apis/{api_id}/secrets", tags=["secrets"])
Name = Annotated[str, Path(max_length=256)]


class SecretBody(Body):
    """A value; with `hosts` only the door ever sees it, and puts it in for these hosts."""

    value: Annotated[SecretStr, Field(min_length=1, max_length=MAX_CHARACTERS)]
    hosts: Annotated[list[HostText], Field(min_length=1, max_length=MAX_HOSTS)] | None = None


@router.put("/{name}")
async def set_secret(
    api_id: str, name: Name, body: SecretBody, request: Request, services: Ops, subject: Signed
) -> ChangedSecret:
    """Store a secret and start the API anew with it; `failure` says when that did not work."""
    new = secrets.NewSecret(body.value.get_secret_value(), body.hosts)
    work = secrets.set_secret(services, subject, api_id, name, new)
    return await while_connected(request, work)


@router.get("")
async def list_secrets(api_id: str, services: Ops, subject: Signed) -> Page[Secret]:
    """All of them with names, hosts and times; a value is never answered."""
    found = await secrets.list_secrets(services, subject, api_id)
    return Page(items=found, limit=secrets.MAX_SECRETS, offset=0)


@router.delete("/{name}")
async def delete_secret(
    api_id: str, name: Name, request: Request, services: Ops, subject: Signed
) -> ChangedSecret:
    """Forget a secret and start the API anew without it."""
    work = secrets.delete_secret(services, subject, api_id, name)
    return await while_connected(request, work)

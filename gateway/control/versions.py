"""Routes of versions and deployments."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from gateway.control.disconnect import while_connected
from gateway.control.models import CreateVersionBody, DeployBody, Page, PageLimit, PageOffset
from gateway.control.services import Ops
from gateway.control.subject import Signed
from gateway.operations import deployments, versions
from gateway.operations.values import AddedVersion, Deployment, Version, VersionSummary
from gateway.operations.versions import Origin

router = APIRouter(prefix="/api/apis/{api_id}", tags=["versions"])
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]


@router.post("/versions", status_code=201)
async def add_version(
    api_id: str, body: CreateVersionBody, request: Request, services: Ops, subject: Signed
) -> AddedVersion:
    """Start the code, store it as the next version, and let it answer unless told not to."""
    new = versions.NewVersion(body.code, body.deploy)
    work = versions.add_version(services, subject, api_id, new)
    return await while_connected(request, work)


@router.get("/versions")
async def list_versions(
    api_id: str, services: Ops, subject: Signed, limit: PageLimit = 50, offset: PageOffset = 0
) -> Page[VersionSummary]:
    """Versions without their code, newest first."""
    found = await versions.list_versions(services, subject, api_id, limit, offset)
    return Page(items=found, limit=limit, offset=offset)


@router.get("/versions/{n}")
async def read_version(api_id: str, n: Number, services: Ops, subject: Signed) -> Version:
    """One version with its code."""
    return await versions.read_version(services, subject, api_id, n)


@router.get("/versions/{n}/origin")
async def read_origin(api_id: str, n: Number, services: Ops, subject: Signed) -> Origin:
    """Of a version made from words: the request, the contract, and what every gate said."""
    return await versions.read_origin(services, subject, api_id, n)


@router.get("/versions/{n}/openapi.json")
async def read_document(
    api_id: str, n: Number, request: Request, services: Ops, subject: Signed
) -> dict[str, Any]:
    """What the app of a version said it offers, kept when the version was stored."""
    address = str(request.base_url)
    return await versions.read_document(services, subject, api_id, n, address)


@router.post("/deployments", status_code=201)
async def deploy(
    api_id: str, body: DeployBody, request: Request, services: Ops, subject: Signed
) -> Deployment:
    """Let a version answer; with a weight under 100 the present one keeps the rest."""
    work = deployments.deploy_version(services, subject, api_id, body.version, body.weight)
    return await while_connected(request, work)


@router.get("/deployments")
async def list_deployments(
    api_id: str, services: Ops, subject: Signed, limit: PageLimit = 50, offset: PageOffset = 0
) -> Page[Deployment]:
    """Deployments, newest first, replaced ones included."""
    found = await deployments.list_deployments(services, subject, api_id, limit, offset)
    return Page(items=found, limit=limit, offset=offset)


@router.post("/rollback")
async def roll_back(api_id: str, services: Ops, subject: Signed) -> Deployment:
    """Back to what answered every call before."""
    return await deployments.roll_back(services, subject, api_id)

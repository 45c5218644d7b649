"""Routes of the hot reload, for administrators."""

from fastapi import APIRouter

from gateway.control.services import Ops
from gateway.control.subject import Administrator
from gateway.operations import reload
from gateway.operations.reload import ReloadReport

router = APIRouter(prefix="/admin/reload", tags=["admin"])


@router.post("")
async def reload_all(services: Ops, subject: Administrator) -> ReloadReport:
    """A fresh sandbox for every API that has one; those that fail go on as they were."""
    return await reload.reload_all(services, subject)


@router.post("/{api_id}")
async def reload_api(api_id: str, services: Ops, subject: Administrator) -> ReloadReport:
    """A fresh sandbox for one API; when its code does not start, nothing changes."""
    return await reload.reload_api(services, subject, api_id)

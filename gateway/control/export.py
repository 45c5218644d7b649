"""The route that gives an API away as a project."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from gateway.control.services import Ops
from gateway.control.subject import Signed
from gateway.operations import export

router = APIRouter(prefix="/api/apis/{api_id}", tags=["versions"])


@router.get(
    "/export",
    response_class=Response,
    responses={200: {"description": "The project", "content": {"application/zip": {}}}},
)
async def export_api(
    api_id: str,
    services: Ops,
    subject: Signed,
    version: Annotated[
        int | None, Query(ge=1, le=2**31 - 1, description="absent: the one that answers")
    ] = None,
) -> Response:
    """A ZIP that runs offline: code, tests, clients, Dockerfile, OpenAPI document."""
    made = await export.export_version(services, subject, api_id, version)
    headers = {
        "content-disposition": f'attachment; filename="{made.file_name}"',
        "cache-control": "private, no-store",
        "x-content-type-options": "nosniff",
    }
    return Response(made.content, media_type="application/zip", headers=headers)

"""Routes of files: sent as the body of a request, handed out at signed addresses."""

from typing import Annotated
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from gateway.control.models import Page, PageLimit, PageOffset
from gateway.control.services import Control, ControlServices
from gateway.control.subject import Signed
from gateway.errors import UnavailableError
from gateway.operations import file_urls, uploads
from gateway.operations.uploads import Purpose, Target, Upload, UploadParts, UploadTooLargeError

router = APIRouter(prefix="/api", tags=["uploads"])

FileName = Annotated[
    str | None, Query(alias="name", max_length=500, pattern=r"^[^\x00]*$", description="its name")
]
_FILE_BODY = {
    "requestBody": {
        "required": True,
        "description": "The file itself",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
# what is handed out runs nothing, loads nothing and is taken for nothing else
_SAFE = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": f"private, max-age={file_urls.LIFE_SECONDS}",
}


class UploadsOffError(UnavailableError):
    """This process was started without a place for files."""

    code, title = "uploads_off", "Files cannot be kept here"


class UploadPage(Page[Upload]):
    """Files, and how many bytes of those allowed the tenant's files take together."""

    used_bytes: int
    allowed_bytes: int


def parts_of(control: ControlServices) -> UploadParts:
    """What uploads need."""
    if control.uploads is None:
        raise UploadsOffError
    return control.uploads


@router.put("/profile/icon", status_code=201, openapi_extra=_FILE_BODY)
async def put_profile_icon(
    request: Request, control: Control, subject: Signed, name: FileName = None
) -> Upload:
    """Your icon: a PNG, JPEG, WebP or GIF picture, cut to a square of 256 pixels."""
    target = await uploads.target_of(control.operations, subject, "profile_icon")
    return await _take(request, control, subject, target, name)


@router.put("/apis/{ref}/icon", status_code=201, openapi_extra=_FILE_BODY)
async def put_api_icon(
    ref: Annotated[str, Path(max_length=100)],
    request: Request,
    control: Control,
    subject: Signed,
    name: FileName = None,
) -> Upload:
    """The icon of an API, as that of a profile."""
    target = await uploads.target_of(control.operations, subject, "api_icon", api=ref)
    return await _take(request, control, subject, target, name)


@router.post("/feedback/{feedback_id}/attachments", status_code=201, openapi_extra=_FILE_BODY)
async def add_attachment(
    feedback_id: UUID, request: Request, control: Control, subject: Signed, name: FileName = None
) -> Upload:
    """Something to go with your feedback: a picture, a PDF or plain text; five at most."""
    purpose: Purpose = "attachment"
    target = await uploads.target_of(control.operations, subject, purpose, feedback_id=feedback_id)
    return await _take(request, control, subject, target, name)


@router.get("/apis/{ref}/icon")
async def read_api_icon(
    ref: Annotated[str, Path(max_length=100)], control: Control, subject: Signed
) -> Upload:
    """The icon of an API."""
    return await uploads.icon_of_api(control.operations, parts_of(control), subject, ref)


@router.get("/feedback/{feedback_id}/attachments")
async def list_attachments(feedback_id: UUID, control: Control, subject: Signed) -> Page[Upload]:
    """What goes with your feedback; administrators see that of everybody."""
    found = await uploads.list_attachments(
        control.operations, parts_of(control), subject, feedback_id
    )
    return Page(items=found, limit=uploads.ATTACHMENTS, offset=0)


@router.get("/uploads")
async def list_uploads(
    control: Control,
    subject: Signed,
    tenant_id: Annotated[UUID | None, Query(description="absent: your personal one")] = None,
    limit: PageLimit = 50,
    offset: PageOffset = 0,
) -> UploadPage:
    """Files of a tenant, newest first, and what is left of its quota."""
    parts = parts_of(control)
    found = await uploads.list_uploads(control.operations, parts, subject, tenant_id, limit, offset)
    return UploadPage(
        items=found.items,
        limit=limit,
        offset=offset,
        used_bytes=found.used_bytes,
        allowed_bytes=found.allowed_bytes,
    )


@router.get("/uploads/{upload_id}")
async def read_upload(upload_id: UUID, control: Control, subject: Signed) -> Upload:
    """One file with a fresh address."""
    return await uploads.read_upload(control.operations, parts_of(control), subject, upload_id)


@router.delete("/uploads/{upload_id}", status_code=204)
async def delete_upload(upload_id: UUID, control: Control, subject: Signed) -> None:
    """Delete a file; its addresses open nothing from now on."""
    await uploads.delete_upload(control.operations, subject, upload_id)


@router.get(
    "/uploads/{upload_id}/content",
    response_class=Response,
    responses={200: {"description": "The file", "content": {"*/*": {}}}},
)
async def read_content(
    upload_id: UUID,
    control: Control,
    expires: Annotated[int, Query(ge=0, le=10**12)],
    signature: Annotated[str, Query(max_length=100)],
) -> Response:
    """The file, to whoever has its signed address; no session is needed."""
    parts = parts_of(control)
    found = await uploads.open_upload(control.operations, parts, upload_id, expires, signature)
    shown = "inline" if found.media_type.startswith("image/") else "attachment"
    name = quote(found.name, safe="")
    headers = {**_SAFE, "content-disposition": f"{shown}; filename*=UTF-8''{name}"}
    return Response(found.content, media_type=found.media_type, headers=headers)


async def _take(
    request: Request,
    control: ControlServices,
    subject: Signed,
    target: Target,
    name: str | None,
) -> Upload:
    parts = parts_of(control)
    uploads.count(parts, subject)
    content = await _read(request, parts.max_bytes)
    return await uploads.add_upload(control.operations, parts, subject, target, content, name)


async def _read(request: Request, max_bytes: int) -> bytes:
    """The body, as far as it is not too long."""
    error = UploadTooLargeError(
        f"A file has at most {max_bytes} bytes", headers={"Connection": "close"}
    )
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise error
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > max_bytes:
            raise error
    return bytes(content)

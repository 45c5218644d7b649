"""Files of people: what may be sent, how it is kept, who gets at it."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID, uuid4

import structlog

from gateway.auth.issuer.attempts import Allowance, Attempts
from gateway.auth.issuer.errors import TooManyAttemptsError
from gateway.auth.permissions import Operation, is_admin
from gateway.errors import NotFoundError, PayloadTooLargeError, SandgateError, UnavailableError
from gateway.operations import access, feedback, file_kinds, file_urls, pictures
from gateway.operations.access import Known
from gateway.operations.file_kinds import FileKind
from gateway.operations.finish import finish
from gateway.operations.ports import Services
from gateway.operations.profile import require_person
from gateway.operations.values import optional
from gateway.operations.virus_scan import Scanner
from gateway.store import uploads
from gateway.store.blobs import Blob, BlobMissingError, BlobStore
from gateway.store.database import SERVICE, Database, Filter, Row
from gateway.store.uploads import Bounds

Purpose = Literal["profile_icon", "api_icon", "attachment"]
ATTACHMENTS = 5  # of one piece of feedback
UPLOADS = 60  # of one person within UPLOAD_SECONDS, at one gateway
UPLOAD_SECONDS = 300.0
AT_ONCE = 2  # pictures decoded at one time: each may take a hundred megabytes
_STORE_SECONDS = 60.0
_WAIT_SECONDS = 30.0  # for others whose pictures are decoded
_log = structlog.get_logger(__name__)


class UploadNotFoundError(NotFoundError):
    """No such file, or a stranger's."""

    code, title = "upload_not_found", "File not found"


class UploadTooLargeError(PayloadTooLargeError):
    """More bytes than one file may have."""

    code, title = "upload_too_large", "File too large"


class UploadBusyError(UnavailableError):
    """The very same bytes are being removed, or storing takes too long."""

    code, title = "upload_busy", "Send the file again"


class TooManyUploadsError(SandgateError):
    """One person sends more than anybody has."""

    status, code, title = 429, "too_many_uploads", "Too many uploads"


@dataclass(frozen=True, slots=True)
class UploadParts:
    """What uploads need beside the services of all."""

    blobs: BlobStore
    url_keys: Callable[[], Sequence[bytes]]  # the first signs
    max_bytes: int
    tenant_bytes: int
    scanner: Scanner | None = None
    decoding: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    attempts: Attempts = field(default_factory=lambda: Attempts(UPLOAD_SECONDS, time.monotonic))

    @property
    def bounds(self) -> Bounds:
        """What the database holds each upload against."""
        return Bounds(self.tenant_bytes, ATTACHMENTS)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file. `url` opens it to whoever has it until it expires."""

    id: str
    tenant_id: str
    purpose: Purpose
    api_id: str | None
    feedback_id: str | None
    media_type: str
    name: str
    bytes: int
    width: int | None
    height: int | None
    created_at: str
    url: str


@dataclass(frozen=True, slots=True)
class Target:
    """What a file is for, and whose quota it counts in."""

    purpose: Purpose
    tenant_id: UUID
    column: str
    id: str


@dataclass(frozen=True, slots=True)
class FileContent:
    """A file as it is handed out."""

    content: bytes
    media_type: str
    name: str


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is stored of a file."""

    content: bytes
    media_type: str
    width: int | None = None
    height: int | None = None


async def target_of(
    services: Services,
    subject: Known,
    purpose: Purpose,
    api: str | None = None,
    feedback_id: UUID | None = None,
) -> Target:
    """What the file is for, when the subject may; asked before any of it is read."""
    if purpose == "api_icon":
        allowed = await access.require_api(services, subject, api or "", Operation.CHANGE_API)
        await access.require_running_tenant(services, subject, allowed.tenant_id)
        return Target(purpose, allowed.tenant_id, "api_id", str(allowed.id))
    user = require_person(subject)
    tenant_id = await access.require_tenant(services, user, None, Operation.READ)
    if purpose == "profile_icon":
        return Target(purpose, tenant_id, "profile_id", str(user.user_id))
    if feedback_id is None:
        raise feedback.FeedbackNotFoundError
    await feedback.read_feedback(services, user, feedback_id)
    return Target(purpose, tenant_id, "feedback_id", str(feedback_id))


def count(parts: UploadParts, subject: Known) -> None:
    """One more upload of this subject; TooManyUploadsError for one too many."""
    who = str(access.actor_of(subject))
    try:
        parts.attempts.take([Allowance(f"uploads:{who}", UPLOADS)])
    except TooManyAttemptsError as error:
        wait = str(max(1, math.ceil(error.seconds)))
        raise TooManyUploadsError(headers={"Retry-After": wait}) from error


async def add_upload(
    services: Services,
    parts: UploadParts,
    subject: Known,
    target: Target,
    content: bytes,
    name: str | None,
) -> Upload:
    """Look at it, clean it, keep it. Nothing is left of a file that is refused."""
    is_icon = target.purpose != "attachment"
    kind = file_kinds.picture_kind(content) if is_icon else file_kinds.attachment_kind(content)
    if parts.scanner is not None:
        await parts.scanner.scan(content)
    kept = await _cleaned(parts, content, kind, is_icon=is_icon)
    blob = Blob.of(kept.content)
    upload_id = uuid4()
    actor = access.actor_of(subject)
    row = {
        "id": str(upload_id),
        "tenant_id": str(target.tenant_id),
        "created_by": None if actor is None else str(actor),
        "purpose": target.purpose,
        target.column: target.id,
        "digest": blob.digest,
        "media_type": kept.media_type,
        "name": file_kinds.checked_file_name(name, kept.media_type),
        "bytes": len(kept.content),
        "width": kept.width,
        "height": kept.height,
    }
    await finish(_store(services.database, parts, blob, row))
    stored = await uploads.find(services.database, access.identity_of(subject), upload_id)
    if stored is None:  # another icon has taken its place meanwhile
        raise UploadNotFoundError
    return _of(stored, parts, services.clock())


@dataclass(frozen=True, slots=True)
class TenantUploads:
    """Files of a tenant that the subject may see, and what all of them take of how much."""

    items: list[Upload]
    used_bytes: int
    allowed_bytes: int


async def list_uploads(
    services: Services,
    parts: UploadParts,
    subject: Known,
    tenant_id: UUID | None,
    limit: int,
    offset: int,
) -> TenantUploads:
    """Files of a tenant, newest first."""
    tenant = await access.require_tenant(services, subject, tenant_id, Operation.READ)
    where = [Filter("tenant_id", "eq", str(tenant))]
    identity = access.identity_of(subject)
    rows = await uploads.listed(services.database, identity, where, limit, offset)
    items = [_of(row, parts, services.clock()) for row in rows]
    used = await uploads.held_bytes(services.database, tenant)
    return TenantUploads(items, used, parts.tenant_bytes)


async def read_upload(
    services: Services, parts: UploadParts, subject: Known, upload_id: UUID
) -> Upload:
    """One file with a fresh address."""
    row = await uploads.find(services.database, access.identity_of(subject), upload_id)
    if row is None:
        raise UploadNotFoundError
    return _of(row, parts, services.clock())


async def delete_upload(services: Services, subject: Known, upload_id: UUID) -> None:
    """Forget it. Its address opens nothing from now on; its bytes go when nobody needs them."""
    row = await uploads.find(services.database, access.identity_of(subject), upload_id)
    if row is None:
        raise UploadNotFoundError
    if row["api_id"] is not None:
        await access.require_api(services, subject, str(row["api_id"]), Operation.CHANGE_API)
    await uploads.remove(services.database, upload_id, access.actor_of(subject))


async def open_upload(
    services: Services, parts: UploadParts, upload_id: UUID, expires: int, signature: str
) -> FileContent:
    """The file behind a signed address; the signature says who may."""
    file_urls.check(upload_id, expires, signature, parts.url_keys(), services.clock())
    row = await uploads.find(services.database, SERVICE, upload_id)
    if row is None:
        raise UploadNotFoundError
    try:
        content = await parts.blobs.get(row["digest"])
    except BlobMissingError:
        _log.exception("file_damaged", upload_id=str(upload_id), digest=row["digest"])
        raise
    return FileContent(content, row["media_type"], row["name"])


async def list_attachments(
    services: Services, parts: UploadParts, subject: Known, feedback_id: UUID
) -> list[Upload]:
    """What goes with a piece of feedback: one's own, or anybody's for administrators."""
    if is_admin(subject):
        await feedback.read_any_feedback(services, subject, feedback_id)
    else:
        await feedback.read_feedback(services, subject, feedback_id)
    rows = await uploads.attached(services.database, access.identity_of(subject), feedback_id)
    return [_of(row, parts, services.clock()) for row in rows]


async def icon_of_api(services: Services, parts: UploadParts, subject: Known, ref: str) -> Upload:
    """The icon of an API the subject may read."""
    allowed = await access.require_api(services, subject, ref, Operation.READ)
    row = await uploads.of_api(services.database, allowed.identity, allowed.id)
    if row is None:
        raise UploadNotFoundError
    return _of(row, parts, services.clock())


async def _cleaned(parts: UploadParts, content: bytes, kind: FileKind, *, is_icon: bool) -> _Kept:
    if kind.picture is None:
        return _Kept(content, kind.media_type)
    work = pictures.icon if is_icon else pictures.attachment
    try:
        async with asyncio.timeout(_WAIT_SECONDS):
            await parts.decoding.acquire()
    except TimeoutError as error:
        raise UploadBusyError from error
    try:
        made = await finish(asyncio.to_thread(work, content, kind.picture))
    finally:
        parts.decoding.release()
    return _Kept(made.content, made.media_type, made.width, made.height)


async def _store(
    database: Database, parts: UploadParts, blob: Blob, row: Mapping[str, Any]
) -> None:
    """The hold comes first: what is stored and never used is found again and collected."""
    if not await uploads.hold(database, row, parts.bounds):
        raise UploadBusyError
    try:
        async with asyncio.timeout(_STORE_SECONDS):
            await parts.blobs.put(blob)
    except TimeoutError as error:
        raise UploadBusyError from error
    await uploads.add(database, row, parts.bounds)


def icon_url(icon_id: str | None, parts: UploadParts | None, now: float) -> str | None:
    """Address of an icon that somebody shows."""
    if icon_id is None or parts is None:
        return None
    return file_urls.signed_path(UUID(icon_id), parts.url_keys()[0], now)


def _of(row: Row, parts: UploadParts, now: float) -> Upload:
    return Upload(
        id=str(row["id"]),
        tenant_id=str(row["tenant_id"]),
        purpose=row["purpose"],
        api_id=optional(row["api_id"]),
        feedback_id=optional(row["feedback_id"]),
        media_type=row["media_type"],
        name=row["name"],
        bytes=row["bytes"],
        width=row["width"],
        height=row["height"],
        created_at=row["created_at"],
        url=file_urls.signed_path(UUID(str(row["id"])), parts.url_keys()[0], now),
    )

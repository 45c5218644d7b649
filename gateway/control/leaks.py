"""The public route where secret scanners, or anybody, report keys that they have found."""

from typing import Annotated

from fastapi import APIRouter, Header, Request
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from gateway.control.errors import MalformedJsonError
from gateway.control.services import Control
from gateway.errors import InvalidInputError
from gateway.operations.leaks import Leak, report_leaks

UNSIGNED_LEAKS = 100  # in one report
SIGNED_LEAKS = 10_000

router = APIRouter(prefix="/api", tags=["keys"])


class LeakItem(BaseModel):
    """One finding, as GitHub's secret scanning sends it; what else it tells is not read."""

    token: str = Field(max_length=1000)
    type: str = Field("", max_length=200)
    url: str | None = Field(None, max_length=4000)


class ReceivedView(BaseModel):
    """How many findings came in; nothing about what they are."""

    received: int


_FINDINGS = TypeAdapter(list[LeakItem])


@router.post("/keys/report", status_code=202, openapi_extra={
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["token"],
                "properties": {
                    "token": {"type": "string"},
                    "type": {"type": "string"},
                    "url": {"type": "string"},
                },
            },
        }}},
    },
})  # fmt: skip
async def report_keys(
    request: Request,
    control: Control,
    identifier: Annotated[str | None, Header(alias="Github-Public-Key-Identifier")] = None,
    signature: Annotated[str | None, Header(alias="Github-Public-Key-Signature")] = None,
) -> ReceivedView:
    """Keys found where they should not be; working ones are revoked. No session is needed."""
    body = await request.body()
    signer = control.leaks.reporters.signer(identifier, signature, body)
    if signer is None:
        address = request.client.host if request.client else None
        await control.leaks.count(control.operations, address)
    findings = _findings(body, UNSIGNED_LEAKS if signer is None else SIGNED_LEAKS)
    leaks = [Leak(finding.token, finding.url or "") for finding in findings]
    await report_leaks(control.operations, leaks, signer)
    return ReceivedView(received=len(leaks))


def _findings(body: bytes, most: int) -> list[LeakItem]:
    try:
        findings = _FINDINGS.validate_json(body)
    except ValidationError as error:
        if any(mistake["type"] == "json_invalid" for mistake in error.errors()):
            raise MalformedJsonError from error
        raise InvalidInputError("A report is a list of {token, type, url}") from error
    if len(findings) > most:
        raise InvalidInputError(f"At most {most} findings at once")
    return findings

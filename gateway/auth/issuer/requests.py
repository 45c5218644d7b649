"""What comes in: a JSON object under a cap and a deadline, and its members checked."""

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect, Request

from gateway.auth.issuer.errors import (
    BadJsonError,
    BodyTimeoutError,
    BodyTooLargeError,
    ValidationError,
)

BODY_BYTES = 64 * 1024
_BODY_SECONDS = 10.0
_EMAIL_CHARACTERS = 255
_METADATA_CHARACTERS = 4096  # it travels in every access token, hence in every request's headers
_METADATA_DEPTH = 16
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL = re.compile(rf"[a-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_LABEL}(?:\.{_LABEL})*")


async def read_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > BODY_BYTES:
        raise BodyTooLargeError
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            body = await _read(request)
    except TimeoutError as error:
        raise BodyTimeoutError from error
    except ClientDisconnect as error:
        raise BadJsonError from error
    return parse_object(body)


def parse_object(body: bytes) -> dict[str, Any]:
    """Strict JSON: an object, no NaN, no infinities."""
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadJsonError from error
    if not isinstance(value, dict):
        raise BadJsonError
    return value


def email_of(body: Mapping[str, Any]) -> str:
    """The address, normalised: outer spaces gone, lower case."""
    return normal_email(text_of(body, "email"))


def normal_email(email: str) -> str:
    """A well-formed address in the form it is stored in."""
    normal = email.strip(" ").lower()
    if len(normal) > _EMAIL_CHARACTERS or not _EMAIL.fullmatch(normal):
        raise ValidationError("Unable to validate email address: invalid format")
    return normal


def text_of(body: Mapping[str, Any], name: str) -> str:
    """A member that has to be a text."""
    value = body.get(name)
    if not isinstance(value, str):
        raise ValidationError(f"{name} must be a string")
    return value


def metadata_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """The member `data`, made of what Postgres can keep; empty when absent."""
    data = body.get("data")
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ValidationError("data must be an object")
    _check_values(data)
    check_metadata_size(data)
    return data


def check_metadata_size(data: Mapping[str, Any]) -> None:
    """Refuse what would make access tokens too long for a header."""
    try:
        characters = len(json.dumps(data, allow_nan=False))
    except ValueError as error:
        raise ValidationError("data holds a number that is out of range") from error
    if characters > _METADATA_CHARACTERS:
        raise ValidationError(f"data must be at most {_METADATA_CHARACTERS} characters of JSON")


def _check_values(data: dict[str, Any]) -> None:
    level: list[Any] = [data]
    for _ in range(_METADATA_DEPTH):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += [*value.keys(), *value.values()]
            elif isinstance(value, list):
                below += value
            elif isinstance(value, str):
                _check_text(value)
        level = below
    if level:
        raise ValidationError(f"data must be nested at most {_METADATA_DEPTH} deep")


def _check_text(value: str) -> None:
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value):
        raise ValidationError("data holds a character that cannot be stored")


async def _read(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES:
            raise BodyTooLargeError
    return bytes(body)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")

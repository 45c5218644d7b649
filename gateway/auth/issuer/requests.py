"""What comes in: a JSON object under a cap and a deadline, and its members checked."""

import asyncio
import json
import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, NoReturn
from uuid import UUID

from starlette.requests import ClientDisconnect, Request

from gateway.auth.issuer.errors import (
    BadJsonError,
    BodyTimeoutError,
    BodyTooLargeError,
    ValidationError,
)
from gateway.store.auth_users import Origin

BODY_BYTES = 64 * 1024
_BODY_SECONDS = 10.0
_EMAIL_CHARACTERS = 255
_METADATA_CHARACTERS = 4096  # it travels in every access token, hence in every request's headers
_METADATA_DEPTH = 16
_NAME_CHARACTERS = 100
_AGENT_CHARACTERS = 400
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
    """A well-formed address in the form it is stored in; letters that look alike are refused."""
    normal = email.strip(" ").lower()
    if not email.isascii() or len(normal) > _EMAIL_CHARACTERS or not _EMAIL.fullmatch(normal):
        raise ValidationError("Unable to validate email address: invalid format")
    return normal


def text_of(body: Mapping[str, Any], name: str) -> str:
    """A member that has to be a text."""
    value = body.get(name)
    if not isinstance(value, str):
        raise ValidationError(f"{name} must be a string")
    return value


def name_of(body: Mapping[str, Any], name: str) -> str:
    """A short text for people to read, empty when absent. `Any`: it is JSON."""
    value = text_of(body, name) if body.get(name) is not None else ""
    if len(value) > _NAME_CHARACTERS or not (value.isprintable() and storable(value)):
        raise ValidationError(f"{name} must be at most {_NAME_CHARACTERS} printable characters")
    return value.strip()


def uuid_of(body: Mapping[str, Any], name: str) -> UUID:
    """A member that has to be an id. `Any`: it is JSON."""
    try:
        return UUID(text_of(body, name))
    except ValueError as error:
        raise ValidationError(f"{name} must be an UUID") from error


def origin_of(request: Request) -> Origin:
    """Peer address and program of a request."""
    agent = request.headers.get("user-agent")
    host = request.client.host if request.client else None
    return Origin(agent[:_AGENT_CHARACTERS] if agent else None, _address(host))


def storable(value: str) -> bool:
    """Whether Postgres can keep this text."""
    return not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value)


def flag_of(body: Mapping[str, Any], name: str) -> bool:
    """Yes or no, no when absent. `Any`: it is JSON."""
    value = body.get(name) or False
    if not isinstance(value, bool):
        raise ValidationError(f"{name} must be a boolean")
    return value


def metadata_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """The member `data`, made of what Postgres can keep; empty when absent."""
    return object_of(body, "data") if body.get("data") is not None else {}


def object_of(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A member that has to be an object, made of what Postgres can keep."""
    data = body.get(name)
    if not isinstance(data, dict):
        raise ValidationError(f"{name} must be an object")
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
    if not storable(value):
        raise ValidationError("data holds a character that cannot be stored")


async def _read(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES:
            raise BodyTooLargeError
    return bytes(body)


def _address(host: str | None) -> str | None:
    try:
        return str(ip_address(host.partition("%")[0])) if host else None
    except ValueError:
        return None  # a peer on a Unix socket, or named by a proxy


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")

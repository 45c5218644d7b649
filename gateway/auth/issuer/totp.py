"""Time-based one-time codes (RFC 6238): secrets, their QR code, which step a code is of. Pure."""

import base64
import hmac
import io
import re
import secrets
from urllib.parse import quote

import segno
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

STEP_SECONDS = 30
_DIGITS = 6
_SECRET_BYTES = 20
_DRIFT = 1  # steps that a clock may be off, in either direction
_CODE = re.compile(rf"[0-9]{{{_DIGITS}}}")


def new_secret() -> str:
    """A fresh secret in the form that people type into their app."""
    return base64.b32encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def code_at(secret: str, step: int) -> str:
    """The code of one step; SHA-1 and 30 seconds are all that every app knows."""
    key = base64.b32decode(secret)
    totp = TOTP(key, _DIGITS, SHA1(), STEP_SECONDS)  # noqa: S303 - HMAC with it stands
    return totp.generate(step * STEP_SECONDS).decode()


def step_of(secret: str, code: str, now: float) -> int | None:
    """The step that the code is of, when that is near now; every step is compared."""
    if not _CODE.fullmatch(code):
        return None
    present = int(now // STEP_SECONDS)
    steps = range(max(0, present - _DRIFT), present + _DRIFT + 1)
    matching = [step for step in steps if hmac.compare_digest(code_at(secret, step), code)]
    return matching[-1] if matching else None


def uri_of(secret: str, issuer: str, account: str) -> str:
    """What the QR code holds."""
    label = f"{quote(issuer, safe='')}:{quote(account, safe='@')}"
    return (
        f"otpauth://totp/{label}?algorithm=SHA1&digits={_DIGITS}"
        f"&issuer={quote(issuer, safe='')}&period={STEP_SECONDS}&secret={secret}"
    )


def qr_code(uri: str) -> str:
    """The QR code as a picture in SVG, without a declaration: clients put it into a data URL."""
    picture = io.BytesIO()
    segno.make(uri, error="m").save(picture, kind="svg", scale=4, xmldecl=False, nl=False)
    return picture.getvalue().decode()

"""Proof Key for Code Exchange (RFC 7636): only who asked for a link gets its session. Pure."""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any

from gateway.auth.issuer.errors import ValidationError

_TEXT = re.compile(r"[A-Za-z0-9._~-]{43,128}")


def challenge_of(body: Mapping[str, Any]) -> str | None:
    """The challenge of a request, when it has one. `Any`: it is JSON."""
    challenge, method = body.get("code_challenge"), body.get("code_challenge_method")
    if not challenge and not method:
        return None
    if not isinstance(method, str) or method.lower() != "s256":
        raise ValidationError("code_challenge_method needs to be s256")
    if not isinstance(challenge, str) or not _TEXT.fullmatch(challenge):
        raise ValidationError("code_challenge has to be 43 to 128 unreserved characters")
    return challenge


def answers(verifier: str, challenge: str) -> bool:
    """Whether the challenge was made of this verifier."""
    if not _TEXT.fullmatch(verifier):
        return False
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
    return hmac.compare_digest(digest.rstrip(b"="), challenge.rstrip("=").encode())

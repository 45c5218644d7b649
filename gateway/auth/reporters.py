"""Who may sign reports of leaked keys, and whether they did.

As GitHub's secret scanning signs: ECDSA on P-256 over SHA-256 of the body, in base64, with the
identifier of the key beside it.
"""

import base64
import binascii
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from gateway.errors import ForbiddenError


class ReportSignatureError(ForbiddenError):
    """Somebody else's report under the name of a reporter we know."""

    code, title = "report_signature", "The signature of this report is not valid"


class Reporters:
    """Public keys by their identifiers."""

    def __init__(self, known: Mapping[str, EllipticCurvePublicKey] | None = None) -> None:
        self._known = dict(known or {})

    @classmethod
    def from_text(cls, text: str) -> "Reporters":
        """From `identifier=key` separated by commas, a key being what a PEM file has between
        its first and last line; ValueError for anything else."""
        known = {}
        for part in filter(None, map(str.strip, text.split(","))):
            identifier, _, encoded = part.partition("=")
            known[identifier.strip()] = _public_key("".join(encoded.split()))
        return cls(known)

    def signer(self, identifier: str | None, signature: str | None, body: bytes) -> str | None:
        """Who signed this body; None when nobody whom we know says so."""
        key = self._known.get(identifier or "")
        if key is None:
            return None
        try:
            key.verify(base64.b64decode(signature or "", validate=True), body, ECDSA(SHA256()))
        except (InvalidSignature, binascii.Error, ValueError) as error:
            raise ReportSignatureError from error
        return identifier


def _public_key(encoded: str) -> EllipticCurvePublicKey:
    match load_der_public_key(base64.b64decode(encoded, validate=True)):
        case EllipticCurvePublicKey(curve=SECP256R1()) as key:
            return key
    raise ValueError("a reporter's key is on the curve P-256")

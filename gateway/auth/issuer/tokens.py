"""Access tokens: issue and verify, ES256 with one key, and the public half as a JWKS."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import ECAlgorithm

from gateway.auth.issuer.errors import BadTokenError

ACCESS_SECONDS = 3600
AUDIENCE = "authenticated"
_ALGORITHM = "ES256"
_MAX_CHARACTERS = 16 * 1024
_REQUIRED = ("iss", "aud", "sub", "exp", "iat", "session_id", "role")


@dataclass(frozen=True, slots=True)
class Claims:
    """A verified access token. `text` is the whole claim set as JSON."""

    user_id: UUID
    session_id: UUID
    email: str
    expires_at: int
    text: str
    aal: str = "aal1"


@dataclass(frozen=True, slots=True)
class TokenContents:
    """What goes into a new access token."""

    user_id: UUID
    session_id: UUID
    email: str
    signed_in_at: int
    app_metadata: Mapping[str, Any]
    user_metadata: Mapping[str, Any]
    aal: str = "aal1"
    amr: Sequence[tuple[str, int]] = ()  # method and time, the newest first


@lru_cache(maxsize=8)
def _loaded(private_key_pem: str) -> EllipticCurvePrivateKey:
    key = load_pem_private_key(private_key_pem.encode(), password=None)
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise TypeError("the token key must be an elliptic curve key on P-256")
    return key


class AccessTokens:
    """Issues and verifies; knows nothing of sessions, which the caller has to check as well.

    `keys` says which keys are good now, as PEM and kid: the first signs, all verify.
    """

    def __init__(
        self,
        *,
        private_key_pem: str,
        kid: str,
        issuer: str,
        keys: Callable[[], Sequence[tuple[str, str]]] | None = None,
    ) -> None:
        _loaded(private_key_pem)
        self._keys = keys or (lambda: [(private_key_pem, kid)])
        self._issuer = issuer

    def issue(self, contents: TokenContents, now: int) -> str:
        """A signed token that is good for `ACCESS_SECONDS`."""
        claims = {
            "iss": self._issuer,
            "sub": str(contents.user_id),
            "aud": AUDIENCE,
            "exp": now + ACCESS_SECONDS,
            "iat": now,
            "email": contents.email,
            "phone": "",
            "app_metadata": dict(contents.app_metadata),
            "user_metadata": dict(contents.user_metadata),
            "role": AUDIENCE,
            "aal": contents.aal,
            "amr": [
                {"method": method, "timestamp": timestamp}
                for method, timestamp in contents.amr or (("password", contents.signed_in_at),)
            ],
            "session_id": str(contents.session_id),
            "is_anonymous": False,
        }
        private_key_pem, kid = self._keys()[0]
        return jwt.encode(claims, _loaded(private_key_pem), _ALGORITHM, headers={"kid": kid})

    def verify(self, token: str, now: float) -> Claims:
        """The claims of a token that is ours, unaltered and in time; BadTokenError otherwise."""
        if len(token) > _MAX_CHARACTERS or not token.isascii():
            raise BadTokenError
        try:
            return self._checked(token, now)
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise BadTokenError from error

    def jwks(self) -> dict[str, Any]:
        """The public key set."""
        found = []
        for private_key_pem, kid in self._keys():
            key = ECAlgorithm.to_jwk(_loaded(private_key_pem).public_key(), as_dict=True)
            key.update(alg=_ALGORITHM, kid=kid, use="sig", key_ops=["verify"])
            found.append(key)
        return {"keys": found}

    def _checked(self, token: str, now: float) -> Claims:
        named = jwt.get_unverified_header(token).get("kid")
        fitting = [private_key_pem for private_key_pem, kid in self._keys() if kid == named]
        if not fitting:
            raise ValueError("another key")
        claims: dict[str, Any] = jwt.decode(
            token,
            _loaded(fitting[0]).public_key(),
            algorithms=[_ALGORITHM],
            audience=AUDIENCE,
            issuer=self._issuer,
            # times are compared with the clock this was called with
            options={
                "require": list(_REQUIRED),
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
        expires_at, role, email = claims["exp"], claims["role"], claims.get("email", "")
        if type(expires_at) is not int or expires_at <= now:
            raise ValueError("expired")
        if role != AUDIENCE or not isinstance(email, str):
            raise ValueError("not a person's token")
        return Claims(
            user_id=UUID(str(claims["sub"])),
            session_id=UUID(str(claims["session_id"])),
            email=email,
            expires_at=expires_at,
            text=json.dumps(claims, separators=(",", ":")),
            aal="aal2" if claims.get("aal") == "aal2" else "aal1",
        )

"""From an access token of a Supabase project to the person behind it."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import jwt
from jwt.types import Options

from gateway.auth.issuer.tokens import AUDIENCE
from gateway.auth.key_set import ALGORITHMS, AuthUnavailableError, KeySet
from gateway.auth.sessions import SessionExpiredError, is_admin_now
from gateway.auth.subject import User
from gateway.store.database import Database
from gateway.store.postgrest_keys import ProjectKeys, user_headers

_REMEMBERED = 10_000
_MAX_CHARACTERS = 16 * 1024
_REQUIRED = ["iss", "aud", "sub", "exp", "iat", "session_id", "role"]
# times are compared with our own clock
_RULES: Options = {
    "require": _REQUIRED,
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
}


@dataclass(frozen=True, slots=True)
class _Claims:
    user_id: UUID
    session_id: UUID
    email: str
    text: str


@dataclass(frozen=True, slots=True)
class _Known:
    alive: bool
    is_admin: bool
    until: float


class ProjectSessions:
    """Checks claims always, and the signature where the key is public.

    Whether the session lives the project is asked, and believed for `seconds`; a token signed
    with the project's shared secret is good only because the project says so of this very one.
    """

    def __init__(
        self,
        *,
        http: httpx.AsyncClient,
        auth_url: str,
        issuer: str,
        keys: ProjectKeys,
        database: Database,
        clock: Callable[[], float],
        seconds: float = 5.0,
    ) -> None:
        self._http = http
        self._auth_url = auth_url
        self._issuer = issuer
        self._project_keys = keys
        self._key_set = KeySet(http, f"{auth_url}/.well-known/jwks.json", clock=clock)
        self._database = database
        self._clock = clock
        self._seconds = seconds
        self._known: OrderedDict[bytes, _Known] = OrderedDict()

    async def verify(self, token: str) -> User:
        """The person of a valid token; SessionExpiredError for any other."""
        try:
            claims = await self._claims(token)
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise SessionExpiredError from error
        known = await self._look_up(token, claims)
        if not known.alive:
            raise SessionExpiredError
        return User(
            user_id=claims.user_id,
            email=claims.email,
            session_id=claims.session_id,
            is_admin=known.is_admin,
            claims=claims.text,
            token=token,
        )

    async def _claims(self, token: str) -> _Claims:
        if len(token) > _MAX_CHARACTERS or not token.isascii():
            raise ValueError("not a token")
        header = jwt.get_unverified_header(token)
        algorithm = header.get("alg")
        if algorithm in ALGORITHMS:
            key = await self._key_set.key(str(header.get("kid")), algorithm)
            if key is None:
                raise ValueError("another key")
            found = jwt.decode(
                token, key, [algorithm], _RULES, audience=AUDIENCE, issuer=self._issuer
            )
        elif algorithm == "HS256":
            found = jwt.decode(token, options={"verify_signature": False})
        else:
            raise ValueError("another algorithm")
        return self._checked(found)

    def _checked(self, claims: dict[str, Any]) -> _Claims:
        """`Any`: JSON of somebody else."""
        if any(name not in claims for name in _REQUIRED):
            raise ValueError("incomplete")
        expires_at, email = claims["exp"], claims.get("email", "")
        if type(expires_at) is not int or expires_at <= self._clock():
            raise ValueError("expired")
        if claims["aud"] != AUDIENCE or claims["iss"] != self._issuer:
            raise ValueError("for somebody else")
        if claims["role"] != AUDIENCE or claims.get("is_anonymous") or not isinstance(email, str):
            raise ValueError("not a person's token")
        return _Claims(
            user_id=UUID(str(claims["sub"])),
            session_id=UUID(str(claims["session_id"])),
            email=email,
            text=json.dumps(claims, separators=(",", ":")),
        )

    async def _look_up(self, token: str, claims: _Claims) -> _Known:
        digest = hashlib.sha256(token.encode()).digest()
        known, now = self._known.get(digest), self._clock()
        if known is None or known.until <= now:
            alive = await self._is_alive(token, claims.user_id)
            is_admin = alive and await is_admin_now(self._database, claims.user_id)
            known = self._known[digest] = _Known(alive, is_admin, now + self._seconds)
            self._known.move_to_end(digest)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return known

    async def _is_alive(self, token: str, user_id: UUID) -> bool:
        try:
            answer = await self._http.get(
                f"{self._auth_url}/user", headers=user_headers(self._project_keys, token)
            )
            if answer.status_code in (401, 403, 404):
                return False
            answer.raise_for_status()
            return str(answer.json()["id"]) == str(user_id)
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise AuthUnavailableError from error

"""Tokens of a Supabase project, and every kind of token that is not one."""

import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.auth.key_set import AuthUnavailableError
from gateway.auth.project_sessions import ProjectSessions
from gateway.auth.sessions import SessionExpiredError
from gateway.store.database import Database
from gateway.store.postgrest import PostgrestDatabase
from gateway.store.postgrest_keys import ProjectKeys
from tests.support.factories import Person, make_user

URL = "http://project.example"
ISSUER = f"{URL}/auth/v1"
SHARED = "the project's shared secret, which we never see"
EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)
STRANGERS_KEY = ec.generate_private_key(ec.SECP256R1())
SIGNERS: dict[str, Any] = {"ES256": EC_KEY, "RS256": RSA_KEY, "HS256": SHARED}


@dataclass
class Auth:
    """Plays the project's Auth; `ended` holds tokens whose session is over."""

    status: int = 200
    ended: set[str] = field(default_factory=set)
    kids: tuple[str, ...] = ("ES256", "RS256")
    asked: list[str] = field(default_factory=list)
    now: float = field(default_factory=time.time)

    async def keys(self, _: Request) -> Response:
        self.asked.append("keys")
        documents = {
            "ES256": ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True),
            "RS256": RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True),
        }
        found = [{**documents[kid], "kid": kid, "alg": kid, "use": "sig"} for kid in self.kids]
        odd = [{"kty": "odd"}, {"kty": "oct", "k": "c2VjcmV0", "kid": "HS256", "alg": "HS256"}]
        return JSONResponse({"keys": [*odd, *found]}, self.status)

    async def user(self, request: Request) -> Response:
        self.asked.append("user")
        assert request.headers["apikey"] == "public key"
        token = request.headers["authorization"].removeprefix("Bearer ")
        if self.status != 200:
            return Response("<html>", self.status)
        algorithm = jwt.get_unverified_header(token)["alg"]
        key = SIGNERS[algorithm]
        key = key if isinstance(key, str) else key.public_key()
        try:
            claims = jwt.decode(token, key, [algorithm], options={"verify_aud": False})
        except jwt.PyJWTError:
            return JSONResponse({"code": "bad_jwt"}, 403)
        if token in self.ended:
            return JSONResponse({"code": "session_not_found"}, 403)
        return JSONResponse({"id": claims["sub"]})


@pytest.fixture
def auth() -> Auth:
    return Auth()


@pytest.fixture
async def person(dsn: str) -> Person:
    return await make_user(dsn, "person@example.com", is_admin=True)


@asynccontextmanager
async def asking(auth: Auth, database: Database) -> AsyncIterator[ProjectSessions]:
    app = Starlette(
        routes=[
            Route("/auth/v1/.well-known/jwks.json", auth.keys),
            Route("/auth/v1/user", auth.user),
        ]
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
        yield ProjectSessions(
            http=http,
            auth_url=ISSUER,
            issuer=ISSUER,
            keys=ProjectKeys("service key", "public key"),
            database=database,
            clock=lambda: auth.now,
        )


@pytest.fixture
async def sessions(auth: Auth, database: Database) -> AsyncIterator[ProjectSessions]:
    async with asking(auth, database) as made:
        yield made


@pytest.fixture
async def refusing(auth: Auth) -> AsyncIterator[ProjectSessions]:
    """For tokens that are refused before anybody asks a database."""
    async with (
        PostgrestDatabase.connect("http://127.0.0.1:9", ProjectKeys("none"), waits=()) as nowhere,
        asking(auth, nowhere) as made,
    ):
        yield made


def claims_of(user_id: str, **more: Any) -> dict[str, Any]:
    claims = {
        "iss": ISSUER,
        "sub": user_id,
        "aud": "authenticated",
        "exp": int(time.time()) + 3600,
        "iat": int(time.time()),
        "role": "authenticated",
        "session_id": str(uuid4()),
        "email": "person@example.com",
        **more,
    }
    return {name: value for name, value in claims.items() if value is not None}


def token_of(
    claims: dict[str, Any], algorithm: str = "ES256", *, key: Any = None, kid: str | None = None
) -> str:
    return jwt.encode(
        claims, key or SIGNERS[algorithm], algorithm, headers={"kid": kid or algorithm}
    )


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "HS256"])
async def test_a_person_of_the_project(
    sessions: ProjectSessions, person: Person, algorithm: str
) -> None:
    claims = claims_of(person.id)
    token = token_of(claims, algorithm)
    user = await sessions.verify(token)
    assert (str(user.user_id), user.email, user.is_admin) == (person.id, person.email, True)
    assert (json.loads(user.claims), user.token) == (claims, token)
    assert token not in repr(user)


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "HS256"])
@pytest.mark.parametrize(
    "change",
    [
        {"iss": "http://other.example/auth/v1"},
        {"aud": "anon"},
        {"aud": ["authenticated", "others"]},
        {"exp": 1},
        {"exp": "never"},
        {"exp": None},
        {"role": "service_role"},
        {"role": "anon"},
        {"is_anonymous": True},
        {"session_id": None},
        {"session_id": "none"},
        {"sub": "nobody"},
        {"email": 5},
    ],
)
async def test_claims_that_are_not_a_persons(
    refusing: ProjectSessions, algorithm: str, change: dict[str, Any]
) -> None:
    with pytest.raises(SessionExpiredError):
        await refusing.verify(token_of(claims_of(str(uuid4()), **change), algorithm))


def unsigned(claims: dict[str, Any]) -> str:
    parts = (json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, claims))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


def of_a_stranger(claims: dict[str, Any]) -> str:
    return token_of(claims, key=STRANGERS_KEY)


def of_another_secret(claims: dict[str, Any]) -> str:
    return token_of(claims, "HS256", key="x" * 40)


def with_the_name_of_another_kind_of_key(claims: dict[str, Any]) -> str:
    return token_of(claims, "ES256", kid="RS256")


def altered(claims: dict[str, Any]) -> str:
    head, _, signature = token_of(claims).split(".")
    body = token_of({**claims, "sub": str(uuid4())}).split(".")[1]
    return f"{head}.{body}.{signature}"


def of_a_larger_hash(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, SHARED * 2, "HS512", headers={"kid": "HS256"})


def endless(claims: dict[str, Any]) -> str:
    return token_of({**claims, "more": "x" * 20_000})


def odd(_: dict[str, Any]) -> str:
    return "ü.b.c"


@pytest.mark.parametrize(
    "make",
    [
        unsigned,
        of_a_stranger,
        of_another_secret,
        with_the_name_of_another_kind_of_key,
        altered,
        of_a_larger_hash,
        endless,
        odd,
    ],
)
async def test_tokens_that_are_not_the_projects(
    refusing: ProjectSessions, make: Callable[[dict[str, Any]], str]
) -> None:
    with pytest.raises(SessionExpiredError):
        await refusing.verify(make(claims_of(str(uuid4()))))


@pytest.mark.parametrize("algorithm", ["ES256", "HS256"])
async def test_a_session_that_ended_is_over_within_seconds(
    sessions: ProjectSessions, person: Person, auth: Auth, algorithm: str
) -> None:
    token = token_of(claims_of(person.id), algorithm)
    await sessions.verify(token)
    auth.ended.add(token)
    auth.now += 6
    with pytest.raises(SessionExpiredError):
        await sessions.verify(token)


async def test_the_project_is_asked_once_for_many_requests(
    sessions: ProjectSessions, person: Person, auth: Auth
) -> None:
    token = token_of(claims_of(person.id))
    for _ in range(5):
        await sessions.verify(token)
    assert auth.asked == ["keys", "user"]


async def test_a_new_key_is_asked_for_and_unknown_ones_not_each_time(
    sessions: ProjectSessions, person: Person, auth: Auth
) -> None:
    auth.kids = ("ES256",)
    await sessions.verify(token_of(claims_of(person.id)))
    for _ in range(5):
        with pytest.raises(SessionExpiredError):
            await sessions.verify(token_of(claims_of(person.id), "RS256"))
    assert auth.asked.count("keys") == 1
    auth.kids, auth.now = ("ES256", "RS256"), auth.now + 11
    await sessions.verify(token_of(claims_of(person.id), "RS256"))
    assert auth.asked.count("keys") == 2


async def test_a_key_that_was_taken_back_is_forgotten(
    sessions: ProjectSessions, person: Person, auth: Auth
) -> None:
    token = token_of(claims_of(person.id))
    await sessions.verify(token)
    auth.kids, auth.now = ("RS256",), auth.now + 601
    with pytest.raises(SessionExpiredError):
        await sessions.verify(token)


@pytest.mark.parametrize("algorithm", ["ES256", "HS256"])
async def test_without_the_project_nobody_is_believed(
    refusing: ProjectSessions, auth: Auth, algorithm: str
) -> None:
    auth.status = 500
    with pytest.raises(AuthUnavailableError):
        await refusing.verify(token_of(claims_of(str(uuid4())), algorithm))

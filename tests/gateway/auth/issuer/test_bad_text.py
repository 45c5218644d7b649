"""Bad text through every field of every route of the issuer, as its routes and source list them."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import asyncpg
import httpx
import pytest
import pytest_asyncio

from gateway.auth.issuer.attempts import AttemptLimits
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.postgres import PostgresDatabase
from tests.gateway.auth.issuer.conftest import database_of, quick
from tests.support.bad_texts import NUL, OTHERS, SURROGATE, WORST, encoded, faults_of, printable
from tests.support.issuer import ADMIN_KEY, RunningIssuer, running_issuer
from tests.support.issuer_walk import Asked, Part, fields, routes_of
from tests.support.post import Mailbox

pytestmark = pytest.mark.asyncio(loop_scope="module")

PASSWORD = "long enough"
FIELDS = fields()
# what gets a request as far as it goes; a name that is not here is sent only as what is tried
GOOD: Mapping[str, Any] = {
    "password": PASSWORD, "data": {}, "user_metadata": {}, "app_metadata": {}, "type": "signup",
    "token": "123456", "factor_type": "totp", "code": "123456", "challenge_id": str(uuid4()),
    "refresh_token": "abcdefabcdef", "auth_code": str(uuid4()), "code_verifier": "v" * 43,
}  # fmt: skip
MANY = AttemptLimits(10**6, 10**6, 10**6, 10**6, code=10**6, mails=10**6, mail_seconds=0)


class Bench:
    """One issuer, and somebody who is signed in."""

    def __init__(self, issuer: RunningIssuer) -> None:
        self.issuer = issuer
        self._token = ""

    async def send(self, asked: Asked, part: Part, name: str, value: object) -> httpx.Response:
        """The request with this value there; who was signed out by the last one is another now."""
        if not self._token:
            signed_up = await self.issuer.sign_up(f"{uuid4().hex}@example.com")
            self._token = signed_up["access_token"]
        answer = await self._sent(asked, part, name, value, self._token)
        if answer.status_code == 401 or asked.path == "/logout":
            self._token = ""
        if answer.status_code in (401, 403) and "admin" in answer.text:
            answer = await self._sent(asked, part, name, value, ADMIN_KEY)
        return answer

    async def _sent(
        self, asked: Asked, part: Part, name: str, value: object, token: str
    ) -> httpx.Response:
        path = asked.path
        for parameter in asked.parameters:
            text = str(value) if (part, parameter) == ("path", name) else str(uuid4())
            path = path.replace("{" + parameter + "}", encoded(text))
        query = [pair for pair in asked.query if (part, pair[0]) != ("query", name)]
        address = f"{path}?{urlencode(query)}"
        if part == "query":
            address += f"&{name}={encoded(str(value))}"
        headers = {b"authorization": f"Bearer {token}".encode()}
        if part == "header":
            headers[name.encode()] = printable(str(value))
        body = {**GOOD, "email": f"{uuid4().hex}@example.com"}
        if part == "body":
            body[name] = value
        content = None if asked.method == "GET" else json.dumps(body).encode()
        return await self.issuer.http.request(
            asked.method, address, content=content, headers=headers
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(
    postgres: EmbeddedPostgres, auth_dsn: str, shared_database: PostgresDatabase
) -> AsyncIterator[Bench]:
    async with running_issuer(
        str(postgres.socket_dir), database_of(auth_dsn), shared_database,
        carrier=Mailbox(), passwords=quick(), limits=MANY,
    ) as running:  # fmt: skip
        yield Bench(replace(running))


def places(asked: Asked) -> Iterator[tuple[Part, str]]:
    """Where text may go."""
    for name in asked.parameters:
        yield "path", name
    for part in ("query", "header"):
        for name in sorted(FIELDS[part]):
            yield part, name
    if asked.method != "GET":
        for name in sorted(FIELDS["body"]):
            yield "body", name


def values(part: Part, name: str, text: str) -> Iterator[object]:
    """The text, and where an object belongs, the text as its member and as a name in it."""
    yield text
    if part == "body" and isinstance(GOOD.get(name), dict):
        yield {"x": text}
        yield {text: [text]}


async def everything(bench: Bench, texts: Mapping[str, str], share: int) -> list[str]:
    """What was wrong. Each place gets each `share`th text, the next place the ones after."""
    wrong, number = [], 0
    for asked in routes_of(bench.issuer.app):
        for part, name in places(asked):
            number += 1
            for at, (label, text) in enumerate(texts.items()):
                if (at + number) % share:
                    continue
                for value in values(part, name, text):
                    answer = await bench.send(asked, part, name, value)
                    wrong += [
                        f"{asked} {part} {name} {label}: {answer.status_code} {fault}"
                        for fault in faults_of(answer, "application/json")
                        # with a line end in it the path is not the issuer's any more
                        if (part, label, answer.status_code) != ("path", "header", 404)
                    ]
    return wrong


async def test_the_walk_finds_what_is_there(bench: Bench) -> None:
    found = [str(asked) for asked in routes_of(bench.issuer.app)]
    assert len(found) > 25
    assert {"POST /signup", "POST /token pkce", "PUT /admin/users/{user_id}"} <= set(found)
    assert {"email", "password", "user_metadata", "new_email", "code_verifier"} <= FIELDS["body"]
    assert {"redirect_to", "scope", "per_page", "grant_type"} <= FIELDS["query"]
    assert {"authorization", "apikey"} <= FIELDS["header"]


async def test_the_worst_texts_break_nothing(bench: Bench, auth_dsn: str) -> None:
    assert "\n".join(await everything(bench, WORST, 8)) == ""
    owner = await asyncpg.connect(auth_dsn)
    try:
        assert await owner.fetchval("select count(*) from auth.users") > 10
    finally:
        await owner.close()


@pytest.mark.slow
async def test_no_text_is_too_much(bench: Bench) -> None:
    assert "\n".join(await everything(bench, {**WORST, **OTHERS}, 12)) == ""


@pytest.mark.parametrize("text", [NUL, SURROGATE], ids=["nul", "surrogate"])
async def test_what_cannot_be_kept_is_refused_where_it_would_be_kept(
    bench: Bench, text: str
) -> None:
    for path, name in (("/signup", "data"), ("/user", "data"), ("/admin/users", "user_metadata")):
        method = "PUT" if path == "/user" else "POST"
        answer = await bench.send(Asked(method, path, ()), "body", name, {"x": text})
        assert answer.is_client_error, (path, answer.text)
        assert answer.json()["code"] == "validation_failed"


async def test_a_code_that_is_no_text_is_one_that_nobody_has(bench: Bench) -> None:
    exchange = Asked("POST", "/token", (), (("grant_type", "pkce"),))
    answer = await bench.send(exchange, "body", "auth_code", SURROGATE)
    assert (answer.status_code, answer.json()["code"]) == (404, "flow_state_not_found")


async def test_ten_megabytes_are_refused_wherever_they_come(bench: Bench) -> None:
    wrong = []
    for asked in routes_of(bench.issuer.app):
        if asked.method in ("POST", "PUT"):
            answer = await bench.send(asked, "body", "email", "a" * 10_000_000)
            if answer.status_code not in (413, 404, 204):
                wrong.append(f"{asked}: {answer.status_code}")
    assert wrong == []

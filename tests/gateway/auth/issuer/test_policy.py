"""Which passwords people may choose, with a real server as the list of known ones."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from structlog.testing import capture_logs

from gateway.auth.issuer.breaches import Breaches
from gateway.auth.issuer.configured import policy_from
from gateway.auth.issuer.errors import WeakPasswordError
from gateway.auth.issuer.policy import PasswordPolicy
from gateway.auth.issuer.strength import Strength
from gateway.settings import Settings
from gateway.store.database import Database
from tests.support.issuer import ADMIN_KEY, bearer, running_issuer, served

EMAIL = "ann@example.com"
KNOWN = "correct horse"
DIGEST = hashlib.sha1(KNOWN.encode()).hexdigest().upper()


class KnownPasswords:
    """A range API with one known password."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer = f"{'0' * 35}:12\r\n{DIGEST[5:]}:7\r\n{'F' * 35}:0"
        self.status = 200

    async def range(self, request: Request) -> Response:
        self.asked.append(str(request.url.path))
        return PlainTextResponse(self.answer, self.status)


@asynccontextmanager
async def breaches_of(known: KnownPasswords) -> AsyncIterator[Breaches]:
    site = Starlette(routes=[Route("/range/{prefix}", known.range)])
    async with served(site) as url, httpx.AsyncClient(trust_env=False) as http:
        yield Breaches(f"{url}/range/", http)


async def test_a_known_password_is_found_without_being_told() -> None:
    known = KnownPasswords()
    async with breaches_of(known) as breaches:
        assert await breaches.has(KNOWN)
    assert known.asked == [f"/range/{DIGEST[:5]}"]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (f"{DIGEST[5:]}:0", 200),  # padding
        (f"{DIGEST[5:]}", 200),
        (f"x{DIGEST[5:]}:7", 200),
        ("", 200),
        ("<html>ä</html>", 200),
        (f"{DIGEST[5:]}:7", 500),
        (f"{DIGEST[5:]}:7", 302),
        ("0" * 2_000_000 + f"\n{DIGEST[5:]}:7", 200),
    ],
    ids=["padding", "no count", "another", "empty", "page", "failure", "redirect", "endless"],
)
async def test_what_is_no_proper_answer_keeps_nobody_out(answer: str, status: int) -> None:
    known = KnownPasswords()
    known.answer, known.status = answer, status
    async with breaches_of(known) as breaches:
        assert not await breaches.has(KNOWN)


async def test_a_list_that_is_away_keeps_nobody_out_and_is_logged() -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        with capture_logs() as logs:
            assert not await Breaches("http://127.0.0.1:9/range", http).has(KNOWN)
    assert [entry["event"] for entry in logs] == ["breached_passwords_unknown"]
    assert KNOWN not in str(logs)


@pytest.mark.parametrize(
    ("password", "accepted"),
    [
        ("password1", False),
        ("ann@example.com", False),
        ("example.com ann", False),
        ("quaint otters juggle prisms", True),
        ("x" * 500, False),
    ],
)
async def test_what_is_easy_to_guess_is_refused(password: str, accepted: bool) -> None:
    strength = Strength()
    try:
        policy = PasswordPolicy(min_score=3, score=strength.score)
        if accepted:
            await policy.check(password, EMAIL)
        else:
            with pytest.raises(WeakPasswordError) as refused:
                await policy.check(password, EMAIL)
            assert refused.value.extra == {"weak_password": {"reasons": ["strength"]}}
    finally:
        strength.close()


async def test_the_operator_asks_for_more_characters() -> None:
    policy = PasswordPolicy(min_characters=20)
    with pytest.raises(WeakPasswordError, match="20 characters"):
        await policy.check("x" * 19, EMAIL)
    await policy.check("x" * 20, EMAIL)


async def test_settings_make_the_policy() -> None:
    async with AsyncExitStack() as stack:
        plain = policy_from(Settings.model_validate({}), stack)
        assert plain == PasswordPolicy()
        strict = policy_from(
            Settings.model_validate(
                {
                    "password_min_characters": 12,
                    "password_min_score": 3,
                    "password_breach_url": "http://127.0.0.1:9/range",
                }
            ),
            stack,
        )
        assert (strict.min_characters, strict.min_score) == (12, 3)
        assert strict.score is not None
        assert strict.breaches is not None


async def test_every_way_to_a_new_password_asks_the_policy(
    auth_database: tuple[str, str], database: Database
) -> None:
    """Also what was chosen before a rule goes on to open its account."""
    known = KnownPasswords()
    known.status = 500
    async with (
        breaches_of(known) as breaches,
        running_issuer(
            *auth_database, database, policy=PasswordPolicy(breaches=breaches)
        ) as issuer,
    ):
        document = await issuer.sign_up(EMAIL, KNOWN)
        token, user_id = document["access_token"], document["user"]["id"]
        await issuer.http.put("/user", json={"password": "other horse"}, headers=bearer(token))
        known.status = 200
        body = {"email": "bob@example.com", "password": KNOWN}
        answers = [
            await issuer.http.post("/signup", json=body),
            await issuer.http.put("/user", json={"password": KNOWN}, headers=bearer(token)),
            await issuer.http.post("/admin/users", json=body, headers=bearer(ADMIN_KEY)),
            await issuer.http.put(
                f"/admin/users/{user_id}", json={"password": KNOWN}, headers=bearer(ADMIN_KEY)
            ),
        ]
        assert [(a.status_code, a.json()["weak_password"]) for a in answers] == [
            (422, {"reasons": ["pwned"]})
        ] * 4
        assert (await issuer.sign_in(EMAIL, "other horse")).status_code == 200

"""Second factors, driven by the real Supabase auth client."""

from uuid import UUID, uuid4

import asyncpg
import pytest
import pytest_asyncio
from supabase_auth.errors import AuthApiError, AuthError

from gateway.auth.issuer.attempts import AttemptLimits
from gateway.auth.issuer.totp import code_at
from gateway.store.auth_factors import SecondFactorNeededError
from tests.support.issuer import RunningIssuer, bearer

PASSWORD = "correct horse"
WRONG = "000000"
pytestmark = pytest.mark.asyncio(loop_scope="module")


class Person:
    """Somebody with the client of an app, and the app that shows codes."""

    def __init__(self, issuer: RunningIssuer, email: str) -> None:
        self.issuer, self.email = issuer, email
        self.client = issuer.client()
        self.factor_id = self.secret = ""

    async def enrol(self, name: str = "phone") -> None:
        answer = await self.client.mfa.enroll({"factor_type": "totp", "friendly_name": name})
        assert answer.totp is not None
        self.factor_id, self.secret = answer.id, answer.totp.secret

    def code(self) -> str:
        return code_at(self.secret, int(self.issuer.clock() // 30))

    async def confirm(self, code: str | None = None) -> None:
        self.issuer.clock.ahead += 30  # a code of its own for each time
        await self.client.mfa.challenge_and_verify(
            {"factor_id": self.factor_id, "code": code or self.code()}
        )

    async def token(self) -> str:
        session = await self.client.get_session()
        assert session is not None
        return session.access_token

    async def sign_up(self) -> None:
        await self.client.sign_up({"email": self.email, "password": PASSWORD})

    async def sign_in_again(self) -> None:
        await self.client.sign_in_with_password({"email": self.email, "password": PASSWORD})


@pytest_asyncio.fixture(loop_scope="module")
async def person(shared_issuer: RunningIssuer, email: str) -> Person:
    made = Person(shared_issuer, email)
    await made.sign_up()
    return made


async def assert_refused(person: Person, code: str | None, expected: str) -> None:
    with pytest.raises(AuthError) as refused:
        await person.confirm(code)
    assert refused.value.code == expected


async def test_a_right_code_raises_the_session(person: Person) -> None:
    await person.enrol()
    await person.confirm()
    level = await person.client.mfa.get_authenticator_assurance_level()
    assert (level.current_level, level.next_level) == ("aal2", "aal2")
    claims = await person.client.get_claims()
    assert claims is not None
    assert [method["method"] for method in claims["claims"]["amr"]] == ["totp", "password"]


async def test_factors_are_told_with_the_person(person: Person) -> None:
    await person.enrol("my phone")
    assert (await person.client.mfa.list_factors()).totp == []
    await person.confirm()
    (factor,) = (await person.client.mfa.list_factors()).totp
    assert (factor.id, factor.friendly_name, factor.status) == (
        person.factor_id,
        "my phone",
        "verified",
    )


async def test_the_session_stays_raised_when_it_is_refreshed(person: Person) -> None:
    await person.enrol()
    await person.confirm()
    await person.client.refresh_session()
    level = await person.client.mfa.get_authenticator_assurance_level()
    assert level.current_level == "aal2"


async def test_refresh_tokens_of_before_open_nothing(person: Person) -> None:
    before = await person.client.get_session()
    assert before is not None
    await person.enrol()
    await person.confirm()
    assert (await person.issuer.refresh(before.refresh_token)).status_code == 400
    assert (await person.client.get_user()) is not None


async def test_access_tokens_of_before_are_not_raised(person: Person) -> None:
    before = await person.token()
    await person.enrol()
    await person.confirm()
    answer = await person.issuer.http.put(
        "/user", json={"password": "another horse"}, headers=bearer(before)
    )
    assert (answer.status_code, answer.json()["code"]) == (401, "insufficient_aal")


async def test_a_code_counts_once(person: Person) -> None:
    await person.enrol()
    await person.confirm()
    with pytest.raises(AuthError) as refused:
        await person.client.mfa.challenge_and_verify(
            {"factor_id": person.factor_id, "code": person.code()}
        )
    assert refused.value.code == "mfa_verification_failed"


async def test_an_earlier_code_than_the_last_does_not_count(person: Person) -> None:
    await person.enrol()
    earlier = code_at(person.secret, int(person.issuer.clock() // 30))
    await person.confirm()
    with pytest.raises(AuthError) as refused:
        await person.client.mfa.challenge_and_verify(
            {"factor_id": person.factor_id, "code": earlier}
        )
    assert refused.value.code == "mfa_verification_failed"


@pytest.mark.parametrize("code", [WRONG, "1", "x" * 1000, "\0" * 6])
async def test_a_wrong_code_is_refused(person: Person, code: str) -> None:
    await person.enrol()
    await assert_refused(person, code, "mfa_verification_failed")
    assert (await person.client.mfa.list_factors()).totp == []


async def test_guesses_are_limited_for_the_right_code_too(person: Person) -> None:
    await person.enrol()
    for _ in range(AttemptLimits().code):
        await assert_refused(person, WRONG, "mfa_verification_failed")
    await assert_refused(person, None, "over_request_rate_limit")


async def test_a_challenge_ends_after_five_minutes(person: Person) -> None:
    await person.enrol()
    challenge = await person.client.mfa.challenge({"factor_id": person.factor_id})
    person.issuer.clock.ahead += 301
    with pytest.raises(AuthApiError) as refused:
        await person.client.mfa.verify(
            {
                "factor_id": person.factor_id,
                "challenge_id": challenge.id,
                "code": person.code(),
            }
        )
    assert (refused.value.status, refused.value.code) == (422, "mfa_challenge_expired")


async def test_a_challenge_is_answered_once(person: Person) -> None:
    await person.enrol()
    challenge = await person.client.mfa.challenge({"factor_id": person.factor_id})
    answers = []
    for _ in range(2):
        person.issuer.clock.ahead += 30
        answers.append(
            await person.issuer.http.post(
                f"/factors/{person.factor_id}/verify",
                json={"challenge_id": challenge.id, "code": person.code()},
                headers=bearer(await person.token()),
            )
        )
    assert [answer.status_code for answer in answers] == [200, 422]


async def test_another_challenge_does_not_count(person: Person) -> None:
    await person.enrol()
    answer = await person.issuer.http.post(
        f"/factors/{person.factor_id}/verify",
        json={"challenge_id": str(uuid4()), "code": person.code()},
        headers=bearer(await person.token()),
    )
    assert answer.json()["code"] == "mfa_challenge_expired"


async def test_the_first_factor_ends_the_other_sessions(person: Person) -> None:
    other = (await person.issuer.sign_in(person.email, PASSWORD)).json()
    await person.enrol()
    await person.confirm()
    assert (await person.issuer.user(other["access_token"])).status_code == 403


async def test_password_alone_no_longer_opens_the_control_plane(person: Person) -> None:
    await person.enrol()
    await person.confirm()
    raised = await person.token()
    await person.sign_in_again()
    with pytest.raises(SecondFactorNeededError):
        await person.issuer.sessions.verify(await person.token())
    assert (await person.issuer.sessions.verify(raised)).email == person.email
    await person.confirm()
    assert (await person.issuer.sessions.verify(await person.token())).email == person.email


async def test_changing_the_password_needs_both_factors(person: Person) -> None:
    await person.enrol()
    await person.confirm()
    await person.sign_in_again()
    with pytest.raises(AuthApiError) as refused:
        await person.client.update_user({"password": "another horse"})
    assert (refused.value.status, refused.value.code) == (401, "insufficient_aal")
    await person.confirm()
    await person.client.update_user({"password": "another horse"})
    assert (await person.issuer.sign_in(person.email, "another horse")).status_code == 200


async def test_removing_a_factor_needs_both_factors(person: Person) -> None:
    await person.enrol()
    await person.confirm()
    await person.sign_in_again()
    with pytest.raises(AuthApiError) as refused:
        await person.client.mfa.unenroll({"factor_id": person.factor_id})
    assert (refused.value.status, refused.value.code) == (422, "insufficient_aal")
    await person.confirm()
    assert (
        await person.client.mfa.unenroll({"factor_id": person.factor_id})
    ).id == person.factor_id
    await person.client.refresh_session()
    level = await person.client.mfa.get_authenticator_assurance_level()
    assert (level.current_level, level.next_level) == ("aal1", "aal1")


async def test_another_factor_needs_the_first(person: Person) -> None:
    await person.enrol()
    await person.confirm()
    await person.sign_in_again()
    with pytest.raises(AuthApiError) as refused:
        await person.enrol("another")
    assert (refused.value.status, refused.value.code) == (403, "insufficient_aal")


async def test_a_factor_begun_before_the_first_was_verified_needs_it_too(person: Person) -> None:
    thief = Person(person.issuer, person.email)
    await thief.sign_in_again()
    await thief.enrol("begun early")
    person.issuer.clock.ahead += 1
    await person.enrol()
    await person.confirm()
    with pytest.raises(AuthError):
        await thief.confirm()


async def test_a_factor_begun_with_both_is_not_finished_with_one(person: Person) -> None:
    await person.enrol()
    await person.confirm()
    await person.enrol("another")
    await person.sign_in_again()
    await assert_refused(person, None, "insufficient_aal")


async def test_a_factor_that_was_not_verified_can_be_removed(person: Person) -> None:
    await person.enrol()
    await person.client.mfa.unenroll({"factor_id": person.factor_id})
    with pytest.raises(AuthApiError) as refused:
        await person.confirm()
    assert (refused.value.status, refused.value.code) == (404, "mfa_factor_not_found")


async def test_factors_of_others_do_not_exist(person: Person) -> None:
    issuer = person.issuer
    await person.enrol()
    theirs = (await issuer.sign_up(f"bob-{uuid4()}@example.com"))["access_token"]
    path = f"/factors/{person.factor_id}"
    answers = [
        await issuer.http.post(f"{path}/challenge", json={}, headers=bearer(theirs)),
        await issuer.http.delete(path, headers=bearer(theirs)),
    ]
    assert [answer.status_code for answer in answers] == [404, 404]


async def test_names_are_unique_to_a_person(person: Person) -> None:
    await person.enrol("phone")
    with pytest.raises(AuthApiError) as refused:
        await person.enrol("phone")
    assert (refused.value.status, refused.value.code) == (422, "mfa_factor_name_conflict")


async def test_ten_factors_are_enough(person: Person) -> None:
    for number in range(10):
        await person.enrol(f"phone {number}")
    with pytest.raises(AuthApiError) as refused:
        await person.enrol("one more")
    assert refused.value.code == "too_many_enrolled_mfa_factors"
    person.issuer.clock.ahead += 301  # what was never finished makes room
    await person.enrol("one more")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"factor_type": "phone", "phone": "+491234"},
        {"factor_type": "webauthn"},
        {"factor_type": "totp", "friendly_name": "a\0b"},
        {"factor_type": "totp", "friendly_name": "x" * 101},
        {"factor_type": "totp", "friendly_name": ["x"]},
        {"factor_type": "totp", "issuer": "a\nb"},
    ],
    ids=str,
)
async def test_unacceptable_enrolment(person: Person, body: dict[str, object]) -> None:
    answer = await person.issuer.http.post(
        "/factors", json=body, headers=bearer(await person.token())
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/factors"),
        ("POST", f"/factors/{UUID(int=1)}/challenge"),
        ("POST", f"/factors/{UUID(int=1)}/verify"),
        ("DELETE", f"/factors/{UUID(int=1)}"),
    ],
)
async def test_no_bearer_token(shared_issuer: RunningIssuer, method: str, path: str) -> None:
    answer = await shared_issuer.http.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (401, "no_authorization")


async def test_secrets_are_sealed_where_they_lie(person: Person, auth_dsn: str) -> None:
    await person.enrol()
    connection = await asyncpg.connect(auth_dsn)
    try:
        stored: str = await connection.fetchval(
            "select secret from auth.mfa_factors where id = $1", UUID(person.factor_id)
        )
    finally:
        await connection.close()
    assert person.secret not in stored
    assert person.secret.encode().hex() not in stored

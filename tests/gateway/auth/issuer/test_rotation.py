"""Refresh tokens over HTTP: rotation, parallel tabs, and what happens to a stolen one."""

import asyncio
from collections import Counter

import pytest

from gateway.auth.issuer.refresh import fingerprint
from tests.support.issuer import RunningIssuer

EMAIL = "ann@example.com"


async def test_parallel_refreshes_of_one_token_all_get_the_same_successor(
    issuer: RunningIssuer,
) -> None:
    token = (await issuer.sign_up(EMAIL))["refresh_token"]
    answers = await asyncio.gather(*(issuer.refresh(token) for _ in range(10)))
    assert [answer.status_code for answer in answers] == [200] * 10
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1


async def test_every_refresh_gives_a_working_access_token(issuer: RunningIssuer) -> None:
    document = await issuer.sign_up(EMAIL)
    for _ in range(5):
        document = (await issuer.refresh(document["refresh_token"])).json()
        assert (await issuer.user(document["access_token"])).status_code == 200


async def test_late_tab_gets_the_current_token_several_rotations_on(
    issuer: RunningIssuer,
) -> None:
    first = (await issuer.sign_up(EMAIL))["refresh_token"]
    second = (await issuer.refresh(first)).json()["refresh_token"]
    third = (await issuer.refresh(second)).json()["refresh_token"]
    issuer.clock.ahead += 9
    assert (await issuer.refresh(first)).json()["refresh_token"] == third


async def test_reuse_after_ten_seconds_ends_the_session(issuer: RunningIssuer) -> None:
    document = await issuer.sign_up(EMAIL)
    current = (await issuer.refresh(document["refresh_token"])).json()
    issuer.clock.ahead += 11
    reused = await issuer.refresh(document["refresh_token"])
    assert (reused.status_code, reused.json()["code"]) == (400, "refresh_token_already_used")
    after = await issuer.refresh(current["refresh_token"])
    assert after.json()["code"] == "refresh_token_not_found"
    user = await issuer.user(current["access_token"])
    assert (user.status_code, user.json()["code"]) == (403, "session_not_found")


async def test_reuse_in_one_session_leaves_the_others_alone(issuer: RunningIssuer) -> None:
    stolen = (await issuer.sign_up(EMAIL))["refresh_token"]
    other = (await issuer.sign_in(EMAIL, "long enough")).json()
    await issuer.refresh(stolen)
    issuer.clock.ahead += 11
    await issuer.refresh(stolen)
    assert (await issuer.refresh(other["refresh_token"])).status_code == 200


async def test_current_token_works_however_old_it_is(issuer: RunningIssuer) -> None:
    token = (await issuer.sign_up(EMAIL))["refresh_token"]
    issuer.clock.ahead += 30 * 86400
    assert (await issuer.refresh(token)).status_code == 200


async def test_table_of_tokens_is_useless_to_a_thief(issuer: RunningIssuer) -> None:
    token = (await issuer.sign_up(EMAIL))["refresh_token"]
    async with issuer.users.transaction() as transaction:
        assert await transaction.token(token) is None
        assert await transaction.token(fingerprint(token)) is not None
    assert (await issuer.refresh(fingerprint(token))).status_code == 400


@pytest.mark.parametrize("token", ["", "x", "nul\0", "é" * 43, "A" * 43, "A" * 5000])
async def test_garbage_is_no_refresh_token(issuer: RunningIssuer, token: str) -> None:
    answer = await issuer.refresh(token)
    assert (answer.status_code, answer.json()["code"]) == (400, "refresh_token_not_found")


async def test_refresh_and_sign_out_at_once_leave_no_session(issuer: RunningIssuer) -> None:
    document = await issuer.sign_up(EMAIL)
    headers = {"authorization": f"Bearer {document['access_token']}"}
    refreshed, signed_out = await asyncio.gather(
        issuer.refresh(document["refresh_token"]), issuer.http.post("/logout", headers=headers)
    )
    assert signed_out.status_code == 204
    assert refreshed.status_code in {200, 400}
    assert (await issuer.user(document["access_token"])).status_code == 403
    if refreshed.status_code == 200:
        assert (await issuer.refresh(refreshed.json()["refresh_token"])).status_code == 400


async def test_parallel_sign_ups_make_one_person(issuer: RunningIssuer) -> None:
    body = {"email": EMAIL, "password": "long enough"}
    answers = await asyncio.gather(*(issuer.http.post("/signup", json=body) for _ in range(6)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 422: 5}
    refused = [answer.json()["code"] for answer in answers if answer.status_code == 422]
    assert set(refused) == {"user_already_exists"}


async def test_sign_in_and_password_change_at_once_leave_no_session_of_the_old_password(
    issuer: RunningIssuer,
) -> None:
    document = await issuer.sign_up(EMAIL)
    headers = {"authorization": f"Bearer {document['access_token']}"}
    signed_in, changed = await asyncio.gather(
        issuer.sign_in(EMAIL, "long enough"),
        issuer.http.put("/user", json={"password": "another one"}, headers=headers),
    )
    assert changed.status_code == 200
    if signed_in.status_code == 200:
        assert (await issuer.user(signed_in.json()["access_token"])).status_code == 403

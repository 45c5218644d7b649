"""Reports of leaked keys: what they revoke, what they do not tell, what abuse meets."""

import asyncio
import base64
import json
from typing import Any

import asyncpg
import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.auth.keys import generate_key
from gateway.auth.reporters import Reporters, ReportSignatureError
from gateway.control.build import build_control
from gateway.control.leak_desk import LeakDesk
from gateway.control.leaks import UNSIGNED_LEAKS
from gateway.control.services import ControlServices
from gateway.metrics import Metrics
from gateway.operations.leaks import UNSIGNED_REPORTS
from gateway.store import api_keys
from tests.support.control import BASE, World
from tests.support.factories import Person, make_api
from tests.support.problems import assert_problem

FOUND_AT = "https://example.com/repo/blob/main/.env"
NAME = "f9525bf080f75b3506ca1ead061add62"


class Scanner:
    """A secret scanner with a key of its own."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        der = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.setting = f"{NAME}={base64.b64encode(der).decode()}"

    def headers(self, body: bytes) -> dict[str, str]:
        signature = self._key.sign(body, ec.ECDSA(SHA256()))
        return {
            "Github-Public-Key-Identifier": NAME,
            "Github-Public-Key-Signature": base64.b64encode(signature).decode(),
        }


def finding(token: str, **more: Any) -> dict[str, Any]:
    return {"token": token, "type": "sandgate_api_key", "url": FOUND_AT, **more}


async def new_key(world: World) -> tuple[Person, str, dict[str, Any]]:
    person = await world.person()
    api = await make_api(world.database, person.tenant_id)
    async with world.client(person) as client:
        key: dict[str, Any] = (await client.post(f"/api/apis/{api.id}/keys", json={})).json()
    return person, api.id, key


async def report(
    world: World, findings: object, headers: dict[str, str] | None = None
) -> httpx.Response:
    async with world.client() as client:
        return await client.post("/api/keys/report", json=findings, headers=headers)


async def stored(world: World, person: Person, api_id: str, key_id: str) -> dict[str, Any]:
    async with world.client(person) as client:
        items = (await client.get(f"/api/apis/{api_id}/keys")).json()["items"]
    return next(item for item in items if item["id"] == key_id)


async def test_202_whoever_shows_a_key_ends_it_and_its_owner_sees_why(world: World) -> None:
    person, api_id, key = await new_key(world)
    answer = await report(world, [finding(key["key"], source="content")])
    seen = await stored(world, person, api_id, key["id"])
    assert (answer.status_code, answer.json()) == (202, {"received": 1})
    assert seen["revoked_at"] is not None
    assert seen["revoked_reason"] == (
        f"reported as leaked by somebody who had its text: {FOUND_AT}"
    )
    assert ("key", key["id"]) in world.changes.published


async def test_the_answer_tells_nothing_about_what_was_reported(world: World) -> None:
    _, _, key = await new_key(world)
    answers = [
        await report(world, [finding(text)])
        for text in (key["key"], key["key"], generate_key(), "junk", "sg_live_" + "a" * 38)
    ]
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    assert len({tuple(sorted(answer.headers)) for answer in answers}) == 1


async def test_202_an_empty_report(world: World) -> None:
    assert (await report(world, [])).json() == {"received": 0}


async def test_only_a_plain_address_is_shown_to_the_owner(world: World) -> None:
    for url in (
        "javascript:alert(1)",
        "https://x/\u202egnp.exe",
        "https://x/a b",
        "http://x/\n",
        None,
    ):
        person, api_id, key = await new_key(world)
        await report(world, [finding(key["key"], url=url)])
        seen = await stored(world, person, api_id, key["id"])
        assert seen["revoked_reason"] == "reported as leaked by somebody who had its text"


async def test_a_report_of_a_revoked_key_changes_nothing(world: World) -> None:
    person, api_id, key = await new_key(world)
    async with world.client(person) as client:
        await client.delete(f"/api/keys/{key['id']}")
    before = await stored(world, person, api_id, key["id"])
    await report(world, [finding(key["key"])])
    assert await stored(world, person, api_id, key["id"]) == before


async def test_422_what_is_no_report(world: World) -> None:
    many = [finding("junk")] * (UNSIGNED_LEAKS + 1)
    long = [{"token": "a" * 1001}]
    bodies: list[object] = [{}, [{"type": "x"}], [1], "x", [{"token": None}], long, many]
    for body in bodies:
        assert_problem(await report(world, body), 422, "invalid_input")


async def test_400_what_is_no_json(world: World) -> None:
    async with world.client() as client:
        assert_problem(await client.post("/api/keys/report", content=b"{"), 400, "malformed_json")


async def test_429_an_address_that_reports_all_the_time(world: World) -> None:
    for _ in range(UNSIGNED_REPORTS):
        assert (await report(world, [])).status_code == 202
    refused = await report(world, [])
    assert_problem(refused, 429, "too_many_reports")
    assert int(refused.headers["retry-after"]) > 0


async def test_429_an_address_that_reports_to_several_gateways_in_turn(world: World) -> None:
    other = Signed(world)
    for _ in range(UNSIGNED_REPORTS // 2):
        assert (await report(world, [])).status_code == 202
        assert (await other.send(b"[]", {})).status_code == 202
    for refused in (await report(world, []), await other.send(b"[]", {})):
        assert_problem(refused, 429, "too_many_reports")
        assert 0 < int(refused.headers["retry-after"]) <= 300


async def test_reports_at_the_same_moment_are_counted_one_by_one(world: World) -> None:
    origin = "address:2001:db8::/64"
    waits = await asyncio.gather(
        *(api_keys.count_leak_report(world.database, origin, 5, 300) for _ in range(12))
    )
    assert sorted(bool(wait) for wait in waits) == [False] * 5 + [True] * 7


async def test_reports_of_another_address_or_time_are_not_in_the_way(
    world: World, owner: asyncpg.Connection
) -> None:
    for _ in range(3):
        await api_keys.count_leak_report(world.database, "address:192.0.2.1", 1, 300)
    assert await api_keys.count_leak_report(world.database, "address:192.0.2.2", 1, 300) == 0
    await owner.execute(
        "update private.leak_reports set reported_at = reported_at - interval '301 s'"
    )
    assert await api_keys.count_leak_report(world.database, "address:192.0.2.1", 1, 300) == 0
    assert await owner.fetchval("select count(*) from private.leak_reports") == 1


class Signed:
    """A control plane that knows one scanner: another gateway."""

    def __init__(self, world: World) -> None:
        self.scanner = Scanner()
        self._app = build_control(
            ControlServices(
                operations=world.services,
                sessions=world.sessions,
                admin_key="the-admin-key-of-this-test",
                metrics=Metrics(),
                version="0.0.1",
                leaks=LeakDesk(Reporters.from_text(self.scanner.setting)),
            )
        )

    async def send(self, body: bytes, headers: dict[str, str]) -> httpx.Response:
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            return await client.post("/api/keys/report", content=body, headers=headers)


async def test_a_signed_report_names_the_scanner_and_is_not_counted(world: World) -> None:
    person, api_id, key = await new_key(world)
    signed = Signed(world)
    body = json.dumps([finding("junk")] * UNSIGNED_LEAKS + [finding(key["key"])]).encode()
    for _ in range(UNSIGNED_REPORTS + 1):
        answer = await signed.send(body, signed.scanner.headers(body))
        assert answer.status_code == 202
    reason = (await stored(world, person, api_id, key["id"]))["revoked_reason"]
    assert reason == f"reported as leaked by the scanner {NAME[:16]}: {FOUND_AT}"


async def test_403_a_report_in_a_scanners_name_that_it_did_not_sign(world: World) -> None:
    person, api_id, key = await new_key(world)
    signed = Signed(world)
    body = json.dumps([finding(key["key"])]).encode()
    others = [
        signed.scanner.headers(body + b" "),
        Scanner().headers(body),
        {**signed.scanner.headers(body), "Github-Public-Key-Signature": "?"},
        {"Github-Public-Key-Identifier": NAME},
    ]
    for headers in others:
        assert_problem(await signed.send(body, headers), 403, "report_signature")
    assert (await stored(world, person, api_id, key["id"]))["revoked_at"] is None


async def test_a_scanner_nobody_knows_is_anybody(world: World) -> None:
    person, api_id, key = await new_key(world)
    body = json.dumps([finding(key["key"])]).encode()
    async with world.client() as client:
        headers = Scanner().headers(body)
        answer = await client.post("/api/keys/report", content=body, headers=headers)
    assert answer.status_code == 202
    assert (await stored(world, person, api_id, key["id"]))["revoked_at"] is not None


def test_signatures_as_the_largest_scanner_makes_them() -> None:
    """The example that GitHub publishes for those who implement this."""
    key = (
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE9MJJHnMfn2+H4xL4YaPDA4RpJqUq"
        "kCmRCBnYERxZanmcpzQSXs1X/AljlKkbJ8qpVIW4clayyef9gWhFbNHWAA=="
    )
    body = b'[{"token":"some_token","type":"some_type","url":"some_url"}]'
    signature = (
        "MEUCIQDKZokqnCjrRtw0tni+2Ltvl/uiMJ1EGumEsp1BsNr32AIgQY1YXD2nlj+XNfGK4rBfkMJ1JDOQcYXxa2"
        "sY8FNkrKc="
    )
    reporters = Reporters.from_text(f"known={key}, other = {key}")
    assert reporters.signer("known", signature, body) == "known"
    assert reporters.signer("stranger", signature, body) is None
    with pytest.raises(ReportSignatureError):
        reporters.signer("known", signature, body + b"\n")


@pytest.mark.parametrize("text", ["a", "a=", "a=!!", "a=AAAA"])
def test_what_is_no_public_key_is_a_mistake(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Reporters.from_text(text)

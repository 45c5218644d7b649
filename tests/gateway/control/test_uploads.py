"""Files over HTTP: sent, looked at, cleaned, kept, handed out, forgotten."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from gateway.operations.blob_collection import collect
from gateway.operations.file_urls import LIFE_SECONDS, url_key
from gateway.operations.uploads import ATTACHMENTS, UPLOADS, UploadParts
from gateway.operations.virus_scan import Clamd
from gateway.store.blob_folder import BlobFolder
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.postgres import PostgresDatabase
from tests.support.control import World
from tests.support.factories import Person, add_member, make_api, make_feedback, make_tenant
from tests.support.files import EICAR, PDF, SVG, bomb, clamd, opened, picture
from tests.support.one_database import one_database
from tests.support.problems import assert_problem

ICON = "/api/profile/icon"
MAX_BYTES = 100_000


@pytest.fixture(scope="module")
def database_name(postgres: EmbeddedPostgres) -> Iterator[str]:
    """Tests here look only at what they made themselves."""
    with one_database(postgres) as name:
        yield name


@pytest.fixture
def world(database: PostgresDatabase, dsn: str, tmp_path: Path) -> World:
    """The control plane with a place for files."""
    made = World(database, dsn)
    equip(made, tmp_path)
    return made


def equip(world: World, folder: Path, **changed: Any) -> None:
    parts = UploadParts(
        blobs=BlobFolder(folder / "uploads", keep_free=0),
        url_keys=lambda: [url_key(b"secret")],
        max_bytes=MAX_BYTES,
        tenant_bytes=1_000_000,
    )
    world.app.state.control = replace(world.app.state.control, uploads=replace(parts, **changed))


def blobs(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "uploads").rglob("*") if path.is_file())


async def put(world: World, who: Person, content: bytes, path: str = ICON) -> dict[str, Any]:
    async with world.client(who) as client:
        method = "POST" if path.endswith("attachments") else "PUT"
        answer = await client.request(method, path, content=content)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def fetch(world: World, url: str) -> httpx.Response:
    async with world.client() as nobody:
        return await nobody.get(url)


async def attach_to(world: World, person: Person) -> str:
    return f"/api/feedback/{await make_feedback(world.database, person.id)}/attachments"


async def test_201_an_icon_is_kept_small_and_handed_out_safely(world: World) -> None:
    person = await world.person()
    made = await put(world, person, picture("JPEG", (900, 600)), f"{ICON}?name=me.jpeg")
    assert (made["purpose"], made["media_type"], made["name"]) == (
        "profile_icon",
        "image/png",
        "me.png",
    )
    answer = await fetch(world, made["url"])
    assert opened(answer.content).size == (256, 256)
    assert len(answer.content) == made["bytes"]
    expected = {
        "content-type": "image/png",
        "x-content-type-options": "nosniff",
        "content-disposition": "inline; filename*=UTF-8''me.png",
        "content-security-policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
        "cross-origin-resource-policy": "same-origin",
    }
    assert {name: answer.headers[name] for name in expected} == expected


async def test_the_profile_shows_the_icon_also_to_others_once_it_is_public(world: World) -> None:
    person, other = await world.person(), await world.person()
    made = await put(world, person, picture())
    async with world.client(person) as client:
        own = (await client.patch("/api/profile", json={"is_public": True})).json()
    async with world.client(other) as client:
        seen = (await client.get(f"/api/profile/{person.id}")).json()
        row = await client.get(f"/api/uploads/{made['id']}")
    assert own["icon_id"] == seen["icon_id"] == made["id"]
    assert (await fetch(world, seen["icon_url"])).status_code == 200
    assert_problem(row, 404, "upload_not_found")


async def test_a_new_icon_takes_the_place_of_the_old_one(world: World) -> None:
    person = await world.person()
    old = await put(world, person, picture())
    new = await put(world, person, picture("PNG", (10, 90)))
    async with world.client(person) as client:
        listed = (await client.get("/api/uploads")).json()["items"]
    assert [item["id"] for item in listed] == [new["id"]]
    assert_problem(await fetch(world, old["url"]), 404, "upload_not_found")


async def test_the_list_tells_what_is_used_and_what_is_allowed(world: World) -> None:
    owner, viewer = await world.person(), await world.person()
    team = await make_tenant(world.database, owner)
    await add_member(world.database, team, viewer.id, "viewer")
    path = f"/api/apis/{(await make_api(world.database, team)).slug}/icon"
    icon = await put(world, owner, picture(), path)
    files = [await put(world, owner, b"text", await attach_to(world, owner)) for _ in range(2)]
    async with world.client(viewer) as client:
        of_team = (await client.get("/api/uploads", params={"tenant_id": team})).json()
    async with world.client(owner) as client:
        own = (await client.get("/api/uploads?limit=1")).json()
    assert (of_team["used_bytes"], of_team["allowed_bytes"]) == (icon["bytes"], 1_000_000)
    assert own["used_bytes"] == sum(file["bytes"] for file in files) == 8


async def test_an_api_has_an_icon_that_its_members_see_and_its_builders_change(
    world: World,
) -> None:
    owner, viewer, stranger = [await world.person() for _ in range(3)]
    team = await make_tenant(world.database, owner)
    await add_member(world.database, team, viewer.id, "viewer")
    path = f"/api/apis/{(await make_api(world.database, team)).slug}/icon"
    made = await put(world, owner, picture(), path)
    assert made["tenant_id"] == team
    async with world.client(viewer) as client:
        assert (await client.get(path)).json() == made
        assert_problem(await client.put(path, content=picture()), 403, "forbidden")
        assert_problem(await client.delete(f"/api/uploads/{made['id']}"), 403, "forbidden")
    async with world.client(stranger) as client:
        for method in ("GET", "PUT"):
            answer = await client.request(method, path, content=picture())
            assert_problem(answer, 404, "api_not_found")
    async with world.client(owner) as client:
        assert (await client.delete(f"/api/uploads/{made['id']}")).status_code == 204
        assert_problem(await client.get(path), 404, "upload_not_found")


async def test_attachments_are_seen_by_their_author_and_administrators(world: World) -> None:
    person, other, admin = (
        await world.person(),
        await world.person(),
        await world.person(is_admin=True),
    )
    path = await attach_to(world, person)
    made = [await put(world, person, content, path) for content in (PDF, b"a log", picture())]
    assert [item["media_type"] for item in made] == ["application/pdf", "text/plain", "image/png"]
    for who in (person, admin):
        async with world.client(who) as client:
            assert (await client.get(path)).json()["items"] == made
    async with world.client(other) as client:
        assert_problem(await client.get(path), 404, "feedback_not_found")
        assert_problem(await client.post(path, content=PDF), 404, "feedback_not_found")
    handed = await fetch(world, made[0]["url"])
    assert handed.content == PDF
    assert handed.headers["content-disposition"].startswith("attachment;")


async def test_409_feedback_has_few_attachments(world: World) -> None:
    person = await world.person()
    path = await attach_to(world, person)
    for number in range(ATTACHMENTS):
        await put(world, person, f"text {number}".encode(), path)
    async with world.client(person) as client:
        answer = await client.post(path, content=b"one more")
    assert_problem(answer, 409, "too_many_attachments")


async def test_415_and_422_what_is_no_harmless_file_leaves_nothing(
    world: World, tmp_path: Path
) -> None:
    person = await world.person()
    attachments = await attach_to(world, person)
    cases = (
        (ICON, SVG, 415, "unsupported_file"),
        (ICON, PDF, 415, "unsupported_file"),
        (ICON, b"", 415, "unsupported_file"),
        (ICON, bomb(), 422, "invalid_image"),
        (ICON, picture()[:60], 422, "invalid_image"),
        (attachments, SVG, 415, "unsupported_file"),
        (attachments, b"MZ" + b"\0" * 100, 415, "unsupported_file"),
        (attachments, b"", 415, "unsupported_file"),
    )
    async with world.client(person) as client:
        for path, content, status, code in cases:
            method = "PUT" if path == ICON else "POST"
            answer = await client.request(method, path, content=content)
            assert_problem(answer, status, code)
        assert (await client.get("/api/uploads")).json()["items"] == []
    assert blobs(tmp_path) == []


async def test_413_a_file_that_is_too_large_is_not_read_to_its_end(world: World) -> None:
    person, read = await world.person(), 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"x" * 1000

    async with world.client(person) as client:
        announced = await client.put(ICON, content=b"x" * (MAX_BYTES + 1))
        streamed = await client.put(ICON, content=endless())
    for answer in (announced, streamed):
        assert_problem(answer, 413, "upload_too_large")
    assert read <= MAX_BYTES / 1000 + 2


async def test_409_a_tenant_has_a_quota(world: World, tmp_path: Path) -> None:
    person = await world.person()
    equip(world, tmp_path, tenant_bytes=1000)
    path = await attach_to(world, person)
    await put(world, person, b"x" * 600, path)
    async with world.client(person) as client:
        answer = await client.post(path, content=b"y" * 600)
    assert_problem(answer, 409, "upload_quota_exceeded")
    assert len(blobs(tmp_path)) == 1
    await put(world, person, b"z" * 400, path)


async def test_422_a_virus_and_503_a_silent_scanner_leave_nothing(
    world: World, tmp_path: Path
) -> None:
    person = await world.person()
    path = await attach_to(world, person)
    async with clamd(tmp_path) as scanner:
        equip(world, tmp_path, scanner=Clamd(str(scanner.address)))
        async with world.client(person) as client:
            infected = await client.post(path, content=EICAR)
            assert_problem(infected, 422, "infected_file")
            assert (await client.post(path, content=b"clean")).status_code == 201
    async with world.client(person) as client:
        away = await client.post(path, content=b"not looked at")
    assert_problem(away, 503, "scan_unavailable")
    assert away.headers["retry-after"]
    assert len(blobs(tmp_path)) == 1


async def test_507_a_full_disk_leaves_nothing(world: World, tmp_path: Path) -> None:
    person = await world.person()
    equip(world, tmp_path, blobs=BlobFolder(tmp_path / "uploads", keep_free=2**62))
    async with world.client(person) as client:
        assert_problem(await client.put(ICON, content=picture()), 507, "storage_full")
        assert (await client.get("/api/uploads")).json()["items"] == []
        assert (await client.get("/api/profile")).json()["icon_url"] is None
    assert blobs(tmp_path) == []


async def test_403_an_address_is_good_for_one_file_and_for_a_while(world: World) -> None:
    person = await world.person()
    made = await put(world, person, picture())
    forged = made["url"][:-1] + ("0" if made["url"][-1] != "0" else "1")
    moved = made["url"].replace(made["id"], str(uuid4()))
    for url in (forged, moved):
        assert_problem(await fetch(world, url), 403, "file_url_invalid")
    bare = await fetch(world, made["url"].partition("?")[0])
    assert_problem(bare, 422, "invalid_input")
    world.now += 2 * LIFE_SECONDS
    assert_problem(await fetch(world, made["url"]), 403, "file_url_invalid")
    async with world.client(person) as client:
        fresh = (await client.get(f"/api/uploads/{made['id']}")).json()
    assert (await fetch(world, fresh["url"])).status_code == 200


async def test_500_a_file_that_was_changed_on_disk_is_not_handed_out(
    world: World, tmp_path: Path
) -> None:
    made = await put(world, await world.person(), picture())
    digest = blobs(tmp_path)[0]
    (tmp_path / "uploads" / digest[:2] / digest).write_bytes(b"something else")
    assert_problem(await fetch(world, made["url"]), 500, "file_damaged")


async def test_the_same_bytes_are_kept_once_and_go_with_the_last_who_has_them(
    world: World, tmp_path: Path, owner: asyncpg.Connection
) -> None:
    one, two = await world.person(), await world.person()
    made = [await put(world, person, picture("PNG", (77, 33))) for person in (one, two)]
    assert len(blobs(tmp_path)) == 1
    folder = BlobFolder(tmp_path / "uploads", keep_free=0)
    for person, upload, left in ((one, made[0], 1), (two, made[1], 0)):
        async with world.client(person) as client:
            assert (await client.delete(f"/api/uploads/{upload['id']}")).status_code == 204
        await owner.execute("update private.blobs set held_until = now()")
        await collect(world.database, folder)
        assert len(blobs(tmp_path)) == left
    assert_problem(await fetch(world, made[1]["url"]), 404, "upload_not_found")


async def test_an_administrator_removes_a_file_and_it_is_written_down(
    world: World, owner: asyncpg.Connection
) -> None:
    person, other = await world.person(), await world.person()
    admin = await world.person(is_admin=True)
    made = await put(world, person, picture())
    path = f"/api/uploads/{made['id']}"
    async with world.client(other) as client:
        assert_problem(await client.delete(path), 404, "upload_not_found")
    async with world.client(admin) as client:
        assert (await client.delete(path)).status_code == 204
    entry = await owner.fetchrow("select * from public.audit_log where target_id = $1", made["id"])
    assert entry is not None
    assert (entry["actor_id"], entry["action"]) == (UUID(admin.id), "upload.delete")


async def test_429_one_person_sends_so_many_and_no_more(world: World) -> None:
    person, other = await world.person(), await world.person()
    async with world.client(person) as client:
        answers = await asyncio.gather(*(client.put(ICON, content=b"") for _ in range(UPLOADS)))
        assert {answer.status_code for answer in answers} == {415}
        answer = await client.put(ICON, content=picture())
    assert_problem(answer, 429, "too_many_uploads")
    assert int(answer.headers["retry-after"]) > 0
    await put(world, other, picture())


async def test_401_nobody_403_the_admin_key_and_a_suspended_tenant_send_nothing(
    world: World, owner: asyncpg.Connection
) -> None:
    person = await world.person()
    async with world.client() as client:
        for method, path in (("PUT", ICON), ("GET", "/api/uploads")):
            assert_problem(await client.request(method, path), 401, "unauthorized")
    async with world.admin() as client:
        assert_problem(await client.put(ICON, content=picture()), 403, "person_required")
    await owner.execute("update public.tenants set status = 'suspended'")
    async with world.client(person) as client:
        assert_problem(await client.put(ICON, content=picture()), 403, "tenant_suspended")


async def test_503_without_a_place_for_files(world: World) -> None:
    person = await world.person()
    world.app.state.control = replace(world.app.state.control, uploads=None)
    async with world.client(person) as client:
        assert_problem(await client.put(ICON, content=picture()), 503, "uploads_off")
        assert (await client.get("/api/profile")).json()["icon_url"] is None

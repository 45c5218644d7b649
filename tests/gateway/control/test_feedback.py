"""Feedback over HTTP: people write, administrators answer, nobody else looks."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from gateway.operations.feedback import QUANTITY
from gateway.store.embedded import EmbeddedPostgres
from tests.support.control import World
from tests.support.factories import Person, make_feedback
from tests.support.one_database import one_database
from tests.support.problems import assert_problem

IDEA = {"type": "idea", "title": "Darker", "text": "At night.\nPlease."}


@pytest.fixture(scope="module")
def database_name(postgres: EmbeddedPostgres) -> Iterator[str]:
    """Tests here look only at what they made themselves."""
    with one_database(postgres) as name:
        yield name


async def write(world: World, person: Person, **changed: Any) -> dict[str, Any]:
    async with world.client(person) as client:
        answer = await client.post("/api/feedback", json={**IDEA, **changed})
    assert answer.status_code == 201, answer.text
    written: dict[str, Any] = answer.json()
    return written


async def listed(world: World, person: Person, path: str = "/api/feedback") -> list[dict[str, Any]]:
    async with world.client(person) as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_201_what_was_written_is_listed_and_open(world: World) -> None:
    person = await world.person()
    written = await write(world, person)
    assert {name: written[name] for name in IDEA} == IDEA
    assert (written["status"], written["answer"]) == ("open", None)
    async with world.client(person) as client:
        found = await client.get(f"/api/feedback/{written['id']}")
    assert found.json() == written
    assert await listed(world, person) == [written]


async def test_own_feedback_comes_newest_first_and_in_pages(world: World) -> None:
    person = await world.person()
    ids = [await make_feedback(world.database, person.id) for _ in range(3)]
    first = await listed(world, person, "/api/feedback?limit=2")
    rest = await listed(world, person, "/api/feedback?limit=2&offset=2")
    assert [item["id"] for item in first + rest] == ids[::-1]


async def test_404_feedback_of_others_is_as_if_it_were_not_there(world: World) -> None:
    person, other = await world.person(), await world.person(is_admin=True)
    written = await write(world, person)
    for feedback_id in (written["id"], str(uuid4())):
        async with world.client(other) as client:
            for method in ("GET", "DELETE"):
                answer = await client.request(method, f"/api/feedback/{feedback_id}")
                assert_problem(answer, 404, "feedback_not_found")
    assert await listed(world, other) == []
    assert await listed(world, person) == [written]


async def test_204_what_was_written_can_be_taken_back(world: World) -> None:
    person = await world.person()
    written = await write(world, person)
    async with world.client(person) as client:
        answer = await client.delete(f"/api/feedback/{written['id']}")
    assert answer.status_code == 204
    assert await listed(world, person) == []


async def test_the_author_reads_the_answer_but_not_who_gave_it(
    world: World, owner: asyncpg.Connection
) -> None:
    person, admin = await world.person(), await world.person(is_admin=True)
    written = await write(world, person)
    async with world.client(admin) as client:
        answer = await client.patch(
            f"/api/admin/feedback/{written['id']}", json={"answer": "It is night now."}
        )
    assert answer.status_code == 200
    assert answer.json()["email"] == person.email
    seen = (await listed(world, person))[0]
    assert (seen["status"], seen["answer"]) == ("answered", "It is night now.")
    assert seen["answered_at"] is not None
    assert admin.id not in str(seen)
    entry = await owner.fetchrow(
        "select * from public.audit_log where target_id = $1", written["id"]
    )
    assert entry is not None
    assert (str(entry["actor_id"]), entry["action"]) == (admin.id, "feedback.answer")


async def test_it_is_closed_and_opened_again(world: World) -> None:
    person = await world.person()
    path = f"/api/admin/feedback/{(await write(world, person))['id']}"
    async with world.admin() as client:
        closed = await client.patch(path, json={"status": "closed"})
        opened = await client.patch(path, json={"status": "open"})
        early = await client.patch(path, json={"status": "answered"})
        both = await client.patch(path, json={"status": "closed", "answer": "Done."})
    assert [answer.json()["status"] for answer in (closed, opened, both)] == [
        "closed",
        "open",
        "closed",
    ]
    assert_problem(early, 409, "not_answered")
    assert both.json()["answer"] == "Done."


async def test_administrators_find_by_status_type_and_title(world: World) -> None:
    one, two = await world.person(), await world.person()
    admin = await world.person(is_admin=True)
    bug = await write(world, one, type="bug", title="100% broken")
    idea = await write(world, two, title="1000 ideas")
    async with world.client(admin) as client:
        await client.patch(f"/api/admin/feedback/{bug['id']}", json={"status": "closed"})
    for query, ids in (
        ("", [idea["id"], bug["id"]]),
        ("?status=closed", [bug["id"]]),
        ("?status=open&type=bug", []),
        ("?type=idea", [idea["id"]]),
        ("?q=100%25", [bug["id"]]),
        ("?q=IDEAS", [idea["id"]]),
    ):
        found = await listed(world, admin, f"/api/admin/feedback{query}")
        made = [item["id"] for item in found if item["id"] in (bug["id"], idea["id"])]
        assert made == ids, query


async def test_403_people_do_not_read_or_answer_feedback_of_all(world: World) -> None:
    person = await world.person()
    written = await write(world, person)
    async with world.client(person) as client:
        for method, path in (
            ("GET", "/api/admin/feedback"),
            ("GET", f"/api/admin/feedback/{written['id']}"),
            ("PATCH", f"/api/admin/feedback/{written['id']}"),
        ):
            answer = await client.request(method, path, json={"answer": "Well done, me."})
            assert_problem(answer, 403, "forbidden")


async def test_401_nobody_and_403_the_admin_key_write_nothing(world: World) -> None:
    async with world.client() as client:
        assert_problem(await client.post("/api/feedback", json=IDEA), 401, "unauthorized")
        assert_problem(await client.get("/api/feedback"), 401, "unauthorized")
        assert_problem(await client.get("/api/admin/feedback"), 401, "unauthorized")
    async with world.admin() as client:
        assert_problem(await client.post("/api/feedback", json=IDEA), 403, "person_required")


async def test_429_one_person_writes_so_much_and_no_more_also_at_once(
    world: World, owner: asyncpg.Connection
) -> None:
    person, other = await world.person(), await world.person()
    for _ in range(QUANTITY - 1):
        await make_feedback(world.database, person.id)
    async with world.client(person) as client:
        async with owner.transaction():
            await owner.execute("lock table private.feedback_counts in access exclusive mode")
            posts = [asyncio.create_task(client.post("/api/feedback", json=IDEA)) for _ in range(8)]
            await all_wait(owner, 8)
        answers = await asyncio.gather(*posts)
    refused = [answer for answer in answers if answer.status_code != 201]
    for answer in refused:
        assert_problem(answer, 429, "too_much_feedback")
        assert 0 < int(answer.headers["retry-after"]) <= 3600
    assert len(refused) == 7
    assert len(await listed(world, person)) == QUANTITY
    await write(world, other)


async def all_wait(owner: asyncpg.Connection, quantity: int) -> None:
    """Return once so many statements wait for each other."""
    asked = (
        "select count(*) from pg_locks where not granted and database ="
        " (select oid from pg_database where datname = current_database())"
    )
    async with asyncio.timeout(5):
        while await owner.fetchval(asked) < quantity:
            await asyncio.sleep(0.01)


async def test_429_taking_back_makes_no_room(world: World) -> None:
    person = await world.person()
    async with world.client(person) as client:
        for _ in range(QUANTITY):
            written = (await client.post("/api/feedback", json=IDEA)).json()
            await client.delete(f"/api/feedback/{written['id']}")
        answer = await client.post("/api/feedback", json=IDEA)
    assert_problem(answer, 429, "too_much_feedback")


REFUSED: list[tuple[object, str]] = [
    ({**IDEA, "type": "complaint"}, "invalid_input"),
    ({**IDEA, "title": " "}, "invalid_text"),
    ({**IDEA, "title": "two\nlines"}, "invalid_text"),
    ({**IDEA, "title": "t" * 201}, "invalid_text"),
    ({**IDEA, "text": ""}, "invalid_text"),
    ({**IDEA, "text": "a\0b"}, "invalid_text"),
    ({**IDEA, "text": "t" * 5001}, "invalid_text"),
    ({**IDEA, "status": "answered"}, "invalid_input"),
    ({"type": "bug"}, "invalid_input"),
]


async def test_422_what_is_refused_is_not_stored(world: World) -> None:
    person = await world.person()
    async with world.client(person) as client:
        for body, code in REFUSED:
            assert_problem(await client.post("/api/feedback", json=body), 422, code)
    assert await listed(world, person) == []


async def test_422_answers_are_checked_and_404_there_is_none(world: World) -> None:
    written = await write(world, await world.person())
    async with world.admin() as client:
        path = f"/api/admin/feedback/{written['id']}"
        for body, code in (
            ({"answer": ""}, "invalid_text"),
            ({"answer": "a\0b"}, "invalid_text"),
            ({"answer": None}, "invalid_input"),
            ({"status": "gone"}, "invalid_input"),
        ):
            assert_problem(await client.patch(path, json=body), 422, code)
        absent = await client.patch(f"/api/admin/feedback/{uuid4()}", json={"answer": "Yes."})
        assert_problem(absent, 404, "feedback_not_found")
        assert (await client.get(path)).json()["status"] == "open"

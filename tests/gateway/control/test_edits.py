"""Changing an API in words: made beside the live version, shown, accepted or rejected."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from gateway.operations.generation import Generation
from gateway.store import edits, jobs
from gateway.store.database import SERVICE
from gateway.store.embedded import EmbeddedPostgres
from generator import library
from generator.contract import Contract
from generator.types import Event, EventKind
from sandbox.types import StartFailedError, StartFailure
from tests.support.control import World
from tests.support.factories import MadeApi, Person, add_member, add_version, make_api, make_tenant
from tests.support.generating import AGREED, STARTED, Script, able, checked, over, working
from tests.support.jobs import make_origin, queue_edit
from tests.support.model_costs import CLEAR
from tests.support.one_database import one_database
from tests.support.problems import assert_problem
from tests.support.templates import BODY, CONTRACT

WORDS = {"prompt": "Say it in French"}
OTHER = BODY.replace("12:00", "midi")
GONE: dict[str, Any] = Contract.model_validate(CONTRACT).model_dump(mode="json", by_alias=True)
GONE["operations"][0] |= {"path": "/heure"}
GONE["operations"][0]["examples"][0] |= {"path": "/heure"}
LOST = "GET /now is gone."


@pytest.fixture(scope="module")
def database_name(postgres: EmbeddedPostgres) -> Iterator[str]:
    """Tests here look only at what they made themselves."""
    with one_database(postgres) as name:
        yield name


@pytest.fixture(autouse=True)
async def _only_own_jobs(owner: asyncpg.Connection) -> None:
    await owner.execute(CLEAR)


@pytest.fixture(autouse=True)
def _model(world: World) -> None:
    world.services = able(world.services)
    control = world.app.state.control
    world.app.state.control = replace(control, operations=world.services)


async def clock(world: World, person: Person) -> MadeApi:
    """An API that was made from words."""
    api = await make_api(world.database, person.tenant_id, created_by=person.id)
    await make_origin(world.dsn, api, CONTRACT, BODY)
    return api


def steps(
    body: str = OTHER, contract: dict[str, Any] = CONTRACT, breaking: Sequence[str] = ()
) -> Script:
    done = checked(body, Contract.model_validate(contract))
    level = "major" if breaking else "patch"
    data = {**done.data, "level": level, "breaking": list(breaking)}
    return Script((STARTED, AGREED, Event(EventKind.CHECKED, done.text, data)))


async def made(world: World, person: Person, script: Script | None = None) -> tuple[MadeApi, UUID]:
    """An edit whose version is there."""
    api = await clock(world, person)
    job_id = await queue_edit(world.database, person, api)
    async with working(world.services, script or steps()):
        row = await over(world.services, job_id)
    assert row["status"] == "succeeded", row["failure"]
    return api, job_id


async def read(world: World, person: Person, path: str) -> Any:
    async with world.client(person) as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def live(world: World, person: Person, api: MadeApi) -> list[tuple[int, int]]:
    shown = await read(world, person, f"/api/apis/{api.id}")
    return [(one["version"], one["weight"]) for one in shown["versions"]]


async def decide(
    world: World, person: Person, job_id: UUID, decision: str = "accept", **body: Any
) -> Any:
    sent = body if decision == "accept" else None
    async with world.client(person) as client:
        return await client.post(f"/api/edits/{job_id}/{decision}", json=sent)


async def test_202_a_change_in_words_becomes_a_job(world: World) -> None:
    person = await world.person()
    api = await clock(world, person)
    async with world.client(person) as client:
        answer = await client.post(f"/api/apis/{api.id}/edits", json=WORDS)
        assert answer.status_code == 202, answer.text
        taken = answer.json()
        edit = (await client.get(f"/api/edits/{taken['id']}")).json()
        listed = (await client.get(f"/api/apis/{api.id}/edits")).json()["items"]
    assert (edit["status"], edit["from_version"], edit["version"]) == ("queued", 1, None)
    assert (edit["prompt"], edit["decision"], edit["diff"]) == (WORDS["prompt"], "open", "")
    assert listed == [edit]


async def test_the_generator_starts_from_what_is_live(world: World) -> None:
    person = await world.person()
    script = steps()
    await made(world, person, script)
    [wish] = script.wishes
    assert wish.previous is not None
    assert (wish.previous.body, wish.previous.contract.title) == (BODY, "Clock")


async def test_the_new_version_lies_beside_the_one_that_answers(world: World) -> None:
    person = await world.person()
    api, job_id = await made(world, person)
    assert await live(world, person, api) == [(1, 100)]
    edit = await read(world, person, f"/api/edits/{job_id}")
    assert (edit["version"], edit["level"], edit["breaking"]) == (2, "patch", [])
    assert '-    return {"now": "12:00"}' in edit["diff"].splitlines()
    assert '+    return {"now": "midi"}' in edit["diff"].splitlines()
    assert world.sandboxes.of(api.id) == []  # nothing runs that nobody calls


async def test_the_job_tells_where_to_decide(world: World) -> None:
    person = await world.person()
    _, job_id = await made(world, person)
    rows = await jobs.events(world.database, SERVICE, job_id, 0)
    assert (rows[-1]["kind"], rows[-1]["data"]) == ("proposed", {"url": f"/api/edits/{job_id}"})


async def test_an_accepted_version_answers(world: World) -> None:
    person = await world.person()
    api, job_id = await made(world, person)
    answer = await decide(world, person, job_id)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["decision"], answer.json()["decided_by"]) == ("accepted", person.id)
    assert await live(world, person, api) == [(2, 100)]
    assert [spec.api_id for spec in world.sandboxes.of(api.id)] == [api.id]  # started before
    assert ("api", api.id) in world.changes.published


async def test_a_rejected_version_stays_and_answers_nobody(world: World) -> None:
    person = await world.person()
    api, job_id = await made(world, person)
    assert (await decide(world, person, job_id, "reject")).json()["decision"] == "rejected"
    assert await live(world, person, api) == [(1, 100)]
    assert (await read(world, person, f"/api/apis/{api.id}/versions/2"))["version"] == 2


@pytest.mark.parametrize("decision", ["accept", "reject"])
async def test_deciding_twice_the_same_is_once(world: World, decision: str) -> None:
    person = await world.person()
    _, job_id = await made(world, person)
    answers = [await decide(world, person, job_id, decision) for _ in range(2)]
    assert answers[0].json() == answers[1].json()


@pytest.mark.parametrize(("first", "then"), [("accept", "reject"), ("reject", "accept")])
async def test_409_what_was_decided_stays(world: World, first: str, then: str) -> None:
    person = await world.person()
    _, job_id = await made(world, person)
    await decide(world, person, job_id, first)
    assert_problem(await decide(world, person, job_id, then), 409, "edit_decided")


async def test_of_yes_and_no_at_once_one_counts(world: World) -> None:
    person = await world.person()
    api, job_id = await made(world, person)
    answers = await asyncio.gather(
        decide(world, person, job_id), decide(world, person, job_id, "reject")
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    edit = await read(world, person, f"/api/edits/{job_id}")
    expected = [(2, 100)] if edit["decision"] == "accepted" else [(1, 100)]
    assert await live(world, person, api) == expected


async def test_409_a_breaking_change_needs_a_yes_of_its_own(world: World) -> None:
    person = await world.person()
    api, job_id = await made(world, person, steps(contract=GONE, breaking=[LOST]))
    edit = await read(world, person, f"/api/edits/{job_id}")
    assert (edit["level"], edit["breaking"]) == ("major", [LOST])
    assert LOST in edit["changes"]
    assert_problem(await decide(world, person, job_id), 409, "breaking_change")
    assert await live(world, person, api) == [(1, 100)]
    assert (await decide(world, person, job_id, breaking=True)).status_code == 200
    assert await live(world, person, api) == [(2, 100)]


async def test_409_another_version_answers_by_now(world: World) -> None:
    person = await world.person()
    api, job_id = await made(world, person)
    await add_version(world.database, api)
    assert_problem(await decide(world, person, job_id), 409, "edit_outdated")
    assert await live(world, person, api) == [(3, 100)]


async def test_409_nothing_to_decide_on_yet(world: World) -> None:
    person = await world.person()
    job_id = await queue_edit(world.database, person, await clock(world, person))
    assert_problem(await decide(world, person, job_id), 409, "edit_not_ready")
    assert_problem(await decide(world, person, job_id, "reject"), 409, "edit_not_ready")


async def test_hosts_are_shown_and_allowed_with_the_yes(world: World) -> None:
    person = await world.person()
    contract = {**CONTRACT, "outbound_hosts": ["api.example.com"]}
    api, job_id = await made(world, person, steps(contract=contract))
    assert (await read(world, person, f"/api/edits/{job_id}"))["hosts"] == ["api.example.com"]
    shown = await read(world, person, f"/api/apis/{api.id}")
    assert shown["egress"]["hosts"] == []
    assert (await decide(world, person, job_id)).status_code == 200
    shown = await read(world, person, f"/api/apis/{api.id}")
    assert shown["egress"]["hosts"] == ["api.example.com"]


async def test_422_a_version_that_does_not_start_is_not_accepted(world: World) -> None:
    person = await world.person()
    api, job_id = await made(world, person)
    world.sandboxes.start_fails = StartFailedError(StartFailure.EXCEPTION, "boom")
    assert_problem(await decide(world, person, job_id), 422, "api_start_failed")
    assert await live(world, person, api) == [(1, 100)]
    assert (await read(world, person, f"/api/edits/{job_id}"))["decision"] == "open"


async def test_409_code_that_nobody_made_from_words_has_no_contract(world: World) -> None:
    person = await world.person()
    api = await make_api(world.database, person.tenant_id)
    async with world.client(person) as client:
        answer = await client.post(f"/api/apis/{api.id}/edits", json=WORDS)
    assert_problem(answer, 409, "not_from_words")


async def test_an_api_made_from_a_template_can_be_changed_too(world: World) -> None:
    person = await world.person()
    template = library.all_templates()[0]
    api = await make_api(world.database, person.tenant_id, code=template.code)
    async with world.client(person) as client:
        answer = await client.post(f"/api/apis/{api.id}/edits", json=WORDS)
        assert answer.status_code == 202, answer.text
        origin = (await client.get(f"/api/apis/{api.id}/versions/1/origin")).json()
    assert origin["template"] == template.slug
    start = await edits.start_of(world.database, UUID(answer.json()["id"]))
    assert start is not None
    assert start["body"] == template.body


async def test_where_a_version_comes_from_is_told(world: World) -> None:
    person = await world.person()
    api, job_id = await made(world, person)
    origin = await read(world, person, f"/api/apis/{api.id}/versions/2/origin")
    assert (origin["job_id"], origin["model"], origin["level"]) == (str(job_id), "a-model", "patch")
    assert origin["contract"]["title"] == "Clock"


async def test_404_uploaded_code_comes_from_nowhere(world: World) -> None:
    person = await world.person()
    api = await make_api(world.database, person.tenant_id)
    async with world.client(person) as client:
        none = await client.get(f"/api/apis/{api.id}/versions/1/origin")
        missing = await client.get(f"/api/apis/{api.id}/versions/9/origin")
    assert_problem(none, 404, "no_origin")
    assert_problem(missing, 404, "version_not_found")


async def test_409_without_a_model(world: World) -> None:
    person = await world.person()
    api = await clock(world, person)
    control = world.app.state.control
    without = replace(world.services, generation=Generation())
    world.app.state.control = replace(control, operations=without)
    async with world.client(person) as client:
        answer = await client.post(f"/api/apis/{api.id}/edits", json=WORDS)
    assert_problem(answer, 409, "no_model")


async def test_the_same_key_is_the_same_edit_and_never_of_another_api(world: World) -> None:
    person = await world.person()
    first, second = await clock(world, person), await clock(world, person)
    headers = {"Idempotency-Key": "once"}
    async with world.client(person) as client:
        made_ids = {
            (await client.post(f"/api/apis/{first.id}/edits", json=WORDS, headers=headers)).json()[
                "id"
            ]
            for _ in range(2)
        }
        other = await client.post(f"/api/apis/{second.id}/edits", json=WORDS, headers=headers)
    assert len(made_ids) == 1
    assert_problem(other, 409, "idempotency_key_reused")


async def test_a_worker_that_comes_second_stores_the_same_version(world: World) -> None:
    person = await world.person()
    api = await clock(world, person)
    job_id = await queue_edit(world.database, person, api)
    script = steps()
    async with working(world.services, script):
        await over(world.services, job_id)
    rows = await world.database.select("api_versions", identity=SERVICE)
    assert sorted(row["n"] for row in rows if row["api_id"] == api.id) == [1, 2]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", "/accept"), ("POST", "/reject")],
)
async def test_404_of_a_stranger_and_of_nothing(world: World, method: str, path: str) -> None:
    person, stranger = await world.person(), await world.person()
    _, job_id = await made(world, person)
    body: dict[str, Any] | None = {} if path == "/accept" else None
    async with world.client(stranger) as client:
        for wanted in (job_id, uuid4()):
            answer = await client.request(method, f"/api/edits/{wanted}{path}", json=body)
            assert_problem(answer, 404, "edit_not_found")


async def test_403_a_viewer_reads_and_decides_nothing(world: World) -> None:
    owner, viewer = await world.person(), await world.person()
    team = await make_tenant(world.database, owner)
    await add_member(world.database, team, viewer.id, "viewer")
    api = await make_api(world.database, team, created_by=owner.id)
    await make_origin(world.dsn, api, CONTRACT, BODY)
    job_id = await queue_edit(world.database, owner, api)
    async with working(world.services, steps()):
        await over(world.services, job_id)
    assert (await read(world, viewer, f"/api/edits/{job_id}"))["version"] == 2
    for decision in ("accept", "reject"):
        assert_problem(await decide(world, viewer, job_id, decision), 403, "forbidden")
    async with world.client(viewer) as client:
        answer = await client.post(f"/api/apis/{api.id}/edits", json=WORDS)
    assert_problem(answer, 403, "forbidden")

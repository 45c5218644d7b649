"""Asking for APIs in words: what is taken, what is refused, and who may look."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from gateway.operations.generation import Generation
from gateway.store import model_costs
from gateway.store.database import Database
from gateway.store.embedded import EmbeddedPostgres
from tests.support.control import World
from tests.support.factories import Person, add_member, make_api, make_tenant
from tests.support.jobs import claimed
from tests.support.model_costs import CLEAR
from tests.support.one_database import one_database
from tests.support.problems import assert_problem
from tests.support.templates import CLOCK, OneTemplate

WORDS = {"prompt": "An API that tells the time in any zone"}


def with_model(world: World, **changed: Any) -> None:
    """A model is set, and one template is there."""
    chosen = Generation(model="a-model", library=OneTemplate(), caps={"day": 1000})
    set_generation(world, replace(chosen, **changed))


def set_generation(world: World, chosen: Generation) -> None:
    world.services = replace(world.services, generation=chosen)
    control = world.app.state.control
    world.app.state.control = replace(control, operations=world.services)


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
    with_model(world)


async def test_202_a_description_becomes_a_job(world: World) -> None:
    person = await world.person()
    async with world.client(person) as client:
        answer = await client.post("/api/generate", json=WORDS)
        assert answer.status_code == 202
        taken = answer.json()
        assert answer.headers["location"] == taken["url"] == f"/api/jobs/{taken['id']}"
        job = (await client.get(taken["url"])).json()
    assert (job["status"], job["prompt"], job["api_id"]) == ("queued", WORDS["prompt"], None)
    assert (job["cost_nano_usd"], job["findings"], job["questions"]) == (0, [], [])


async def test_a_description_may_be_in_any_language(world: World) -> None:
    person = await world.person()
    text = "时间接口 – نقطة نهاية 👩‍🔬\n\tв любом поясе"
    async with world.client(person) as client:
        taken = (await client.post("/api/generate", json={"prompt": text})).json()
        assert (await client.get(taken["url"])).json()["prompt"] == text


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid_prompt"),
        ({"prompt": ""}, "invalid_prompt"),
        ({"prompt": " \n "}, "invalid_prompt"),
        ({"prompt": "a" * 50_001}, "invalid_prompt"),
        ({"prompt": "a\x00b"}, "invalid_prompt"),
        ({"prompt": "a", "answers": {"q": "\x1b"}}, "invalid_prompt"),
        ({"prompt": "a", "answers": {"q": "a" * 2001}}, "invalid_prompt"),
        ({"prompt": "a", "name": " "}, "invalid_name"),
        ({"prompt": "a", "template": "nothing"}, "unknown_template"),
        ({"prompt": "a", "approve": "maybe"}, "invalid_input"),
        ({"prompt": "a", "more": 1}, "invalid_input"),
    ],
    ids=repr,
)
async def test_422_what_is_no_description(
    world: World, body: Mapping[str, object], code: str
) -> None:
    person = await world.person()
    async with world.client(person) as client:
        assert_problem(await client.post("/api/generate", json=body), 422, code)
        assert (await client.get("/api/jobs")).json()["items"] == []


async def test_the_longest_description_is_taken(world: World) -> None:
    person = await world.person()
    async with world.client(person) as client:
        answer = await client.post("/api/generate", json={"prompt": "a" * 50_000})
    assert answer.status_code == 202


async def test_409_without_a_model_it_says_what_to_set(world: World) -> None:
    with_model(world, model="", library=None)
    person = await world.person()
    async with world.client(person) as client:
        answer = await client.post("/api/generate", json=WORDS)
    assert_problem(answer, 409, "no_model")
    assert "ANTHROPIC_API_KEY" in answer.json()["detail"]


async def test_without_a_model_templates_still_work(world: World) -> None:
    with_model(world, model="")
    person = await world.person()
    async with world.client(person) as client:
        named = await client.post("/api/generate", json={"template": CLOCK.slug})
        meant = await client.post("/api/generate", json={"prompt": "a clock please"})
        for answer in (named, meant):
            job = (await client.get(answer.json()["url"])).json()
            assert job["template"] == CLOCK.slug
        missed = await client.post("/api/generate", json={"prompt": "a bakery"})
    assert_problem(missed, 409, "no_model")


async def test_the_same_key_is_the_same_job(world: World) -> None:
    person = await world.person()
    headers = {"Idempotency-Key": "once"}
    async with world.client(person) as client:
        ids = {
            (await client.post("/api/generate", json=WORDS, headers=headers)).json()["id"]
            for _ in range(2)
        }
        other = await client.post("/api/generate", json={"prompt": "b"}, headers=headers)
    assert len(ids) == 1
    assert_problem(other, 409, "idempotency_key_reused")


async def test_409_the_name_is_taken(world: World) -> None:
    person = await world.person()
    await make_api(world.database, person.tenant_id, name="clock")
    async with world.client(person) as client:
        answer = await client.post("/api/generate", json={**WORDS, "name": "clock"})
    assert_problem(answer, 409, "name_taken")


async def test_429_too_many_at_once(world: World) -> None:
    with_model(world, open_jobs=1)
    person = await world.person()
    async with world.client(person) as client:
        await client.post("/api/generate", json=WORDS)
        assert_problem(await client.post("/api/generate", json=WORDS), 429, "too_many_jobs")


async def test_429_the_money_is_spent(world: World) -> None:
    person = await world.person()
    await model_costs.set_caps(world.database, UUID(person.tenant_id), {"month_nano_usd": 0}, None)
    async with world.client(person) as client:
        answer = await client.post("/api/generate", json=WORDS)
        assert_problem(answer, 429, "cost_cap_reached")
        assert answer.json()["cap"] == "plan"
        template = await client.post("/api/generate", json={"template": CLOCK.slug})
    assert template.status_code == 202


async def test_503_the_kill_switch(world: World) -> None:
    person = await world.person()
    switch, body = "/api/admin/switches/generation", {"stopped": True, "reason": "a key leaked"}
    async with world.admin() as admin, world.client(person) as client:
        (await admin.put(switch, json=body)).raise_for_status()
        answer = await client.post("/api/generate", json=WORDS)
        (await admin.put(switch, json={**body, "stopped": False})).raise_for_status()
    assert_problem(answer, 503, "stopped")


async def test_403_a_suspended_tenant_asks_for_nothing(world: World) -> None:
    person = await world.person()
    async with world.admin() as admin:
        path = f"/api/admin/tenants/{person.tenant_id}/suspend"
        await admin.post(path, json={"reason": "spam"})
    async with world.client(person) as client:
        assert_problem(await client.post("/api/generate", json=WORDS), 403, "tenant_suspended")


@pytest.mark.parametrize(("role", "status"), [("admin", 202), ("developer", 202), ("viewer", 403)])
async def test_who_may_ask(world: World, role: str, status: int) -> None:
    owner, member = await world.person(), await world.person()
    team = await make_tenant(world.database, owner)
    await add_member(world.database, team, member.id, role)
    async with world.client(member) as client:
        answer = await client.post("/api/generate", json={**WORDS, "tenant_id": team})
    assert answer.status_code == status


async def test_404_a_strangers_job(world: World) -> None:
    owner, stranger = await world.person(), await world.person()
    async with world.client(owner) as client:
        url = (await client.post("/api/generate", json=WORDS)).json()["url"]
    async with world.client(stranger) as client:
        for method, path, body in (
            ("GET", url, None),
            ("GET", f"{url}/events", None),
            ("POST", f"{url}/cancel", None),
            ("DELETE", url, None),
            ("POST", f"{url}/approve", {}),
            ("POST", f"{url}/retry", None),
        ):
            answer = await client.request(method, path, json=body)
            assert_problem(answer, 404, "job_not_found")


async def test_a_viewer_looks_and_changes_nothing(world: World) -> None:
    owner, viewer = await world.person(), await world.person()
    team = await make_tenant(world.database, owner)
    await add_member(world.database, team, viewer.id, "viewer")
    async with world.client(owner) as client:
        made = await client.post("/api/generate", json={**WORDS, "tenant_id": team})
    url = made.json()["url"]
    async with world.client(viewer) as client:
        assert (await client.get(url)).status_code == 200
        assert_problem(await client.post(f"{url}/cancel"), 403, "forbidden")


async def test_a_batch_is_a_job_for_each(world: World) -> None:
    person = await world.person()
    async with world.client(person) as client:
        answer = await client.post("/api/generate/batch", json={"prompts": ["a", "b", "c"]})
        assert answer.status_code == 202
        path = f"/api/jobs?batch_id={answer.json()['batch_id']}"
        found = (await client.get(path)).json()["items"]
    assert sorted(job["prompt"] for job in found) == ["a", "b", "c"]


@pytest.mark.parametrize("prompts", [[], ["a"] * 21, ["a", " "]], ids=["none", "21", "an empty"])
async def test_422_a_batch_with_a_fault_makes_nothing(world: World, prompts: list[str]) -> None:
    person = await world.person()
    async with world.client(person) as client:
        answer = await client.post("/api/generate/batch", json={"prompts": prompts})
        assert answer.status_code == 422
        assert (await client.get("/api/jobs")).json()["items"] == []


async def test_cancelled_and_tried_again(world: World) -> None:
    person = await world.person()
    async with world.client(person) as client:
        url = (await client.post("/api/generate", json=WORDS)).json()["url"]
        assert_problem(await client.post(f"{url}/retry"), 409, "job_not_over")
        assert (await client.post(f"{url}/cancel")).json()["status"] == "cancelled"
        again = await client.post(f"{url}/retry")
        assert again.status_code == 202
        job = (await client.get(again.headers["location"])).json()
    assert (job["status"], job["prompt"]) == ("queued", WORDS["prompt"])
    assert url.endswith(job["retry_of"])


async def waiting(world: World, database: Database) -> tuple[str, Person]:
    """A job whose contract is there and waits for a yes."""
    person = await world.person()
    async with world.client(person) as client:
        made = await client.post("/api/generate", json={**WORDS, "approve": "ask"})
    job = await claimed(database)
    contract = CLOCK.contract.model_dump(mode="json", by_alias=True)
    await job.advance({"events": [], "contract": contract})
    await job.put_back("approval", [])
    return made.json()["url"], person


async def test_a_changed_contract_is_what_is_built(world: World, database: Database) -> None:
    url, person = await waiting(world, database)
    async with world.client(person) as client:
        contract = {**(await client.get(url)).json()["contract"], "title": "My clock"}
        answer = await client.post(f"{url}/approve", json={"contract": contract})
    assert answer.json()["contract"]["title"] == "My clock"
    assert answer.json()["waiting_for"] is None


async def test_422_what_is_no_contract_changes_nothing(world: World, database: Database) -> None:
    url, person = await waiting(world, database)
    async with world.client(person) as client:
        answer = await client.post(f"{url}/approve", json={"contract": {"title": ""}})
        assert_problem(answer, 422, "invalid_contract")
        assert (await client.get(url)).json()["waiting_for"] == "approval"


async def test_409_nothing_to_approve(world: World) -> None:
    person = await world.person()
    async with world.client(person) as client:
        url = (await client.post("/api/generate", json=WORDS)).json()["url"]
        assert_problem(await client.post(f"{url}/approve", json={}), 409, "job_not_waiting")


async def test_an_administrators_look_is_written_down(
    world: World, owner: asyncpg.Connection
) -> None:
    person = await world.person()
    async with world.client(person) as client:
        url = (await client.post("/api/generate", json=WORDS)).json()["url"]
    async with world.admin() as admin:
        assert (await admin.get(url)).status_code == 200
    query = "select target_id from public.audit_log where action = 'job.read'"
    assert url.endswith(await owner.fetchval(query))


async def test_administrators_see_jobs_without_their_words(world: World) -> None:
    person = await world.person()
    async with world.client(person) as client:
        await client.post("/api/generate", json=WORDS)
    async with world.admin() as admin:
        items = (await admin.get("/api/admin/jobs?status=queued")).json()["items"]
    assert [item["tenant_id"] for item in items] == [person.tenant_id]
    assert "prompt" not in items[0]


async def test_caps_are_set_by_administrators_and_written_down(
    world: World, owner: asyncpg.Connection
) -> None:
    person = await world.person()
    path = f"/api/admin/tenants/{person.tenant_id}/caps"
    async with world.admin() as admin:
        await admin.patch(path, json={"job_nano_usd": 5, "month_nano_usd": 7})
        changed = (await admin.patch(path, json={"job_nano_usd": None})).json()
        unknown = await admin.patch(f"/api/admin/tenants/{uuid4()}/caps", json={})
    assert (changed["job_nano_usd"], changed["month_nano_usd"]) == (None, 7)
    assert_problem(unknown, 404, "tenant_not_found")
    query = (
        "select count(*) from public.audit_log where action = 'tenant.set_caps' and target_id = $1"
    )
    assert await owner.fetchval(query, person.tenant_id) == 2


async def test_an_idea_is_a_job(world: World) -> None:
    person = await world.person()
    async with world.client(person) as client:
        idea = await client.post("/api/ideas", json={"idea": "A service that sums"})
        assert idea.status_code == 202
        service = (await client.get(idea.headers["location"])).json()
        assert service["status"] == "queued"
        assert (await client.get(f"/api/jobs/{service['id']}")).json()["prompt"] == service["idea"]
        listed = (await client.get("/api/services")).json()["items"]
        assert [one["id"] for one in listed] == [service["id"]]
        events = (await client.get(f"/api/services/{service['id']}/events")).json()["items"]
        summary = (await client.get(f"/api/services/{service['id']}/summary")).json()
    assert [event["status"] for event in events] == ["queued"]
    assert (summary["total"], summary["by_status"]) == (1, {"queued": 1})

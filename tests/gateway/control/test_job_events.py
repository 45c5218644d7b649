"""Following a job: what was, what comes, and where to go on after a lost connection."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gateway.operations import job_events
from gateway.store.database import SERVICE, Database
from tests.support.control import World
from tests.support.factories import Person, make_api
from tests.support.generating import Script, able, over, working
from tests.support.issuer import served
from tests.support.jobs import claimed, queue
from tests.support.problems import assert_problem


async def told(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """Each event as it arrives; id, event and data have to agree."""
    number, kind = 0, ""
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if name == "id":
            number = int(value)
        elif name == "event":
            kind = value
        elif name == "data":
            event = json.loads(value)
            assert (event["n"], event["kind"]) == (number, kind)
            yield event


async def finished(world: World, person: Person) -> str:
    """A job that is over."""
    services = able(world.services)
    job_id = await queue(world.database, person)
    async with working(services, Script()):
        await over(services, job_id)
    return f"/api/jobs/{job_id}/events"


async def test_everything_that_was_is_told_in_order_and_then_it_ends(world: World) -> None:
    person = await world.person()
    path = await finished(world, person)
    async with world.client(person) as client:
        answer = await client.get(path)
        events = [event async for event in told(answer)]
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [event["n"] for event in events] == list(range(1, len(events) + 1))
    assert (events[0]["kind"], events[-1]["kind"]) == ("queued", "deployed")


async def test_it_goes_on_behind_the_last_event_that_was_seen(world: World) -> None:
    person = await world.person()
    path = await finished(world, person)
    async with world.client(person) as client:
        answer = await client.get(path, headers={"Last-Event-ID": "3"})
        numbers = [event["n"] async for event in told(answer)]
        rest = await client.get(path, headers={"Last-Event-ID": str(numbers[-1])})
    assert numbers[0] == 4
    assert (rest.status_code, rest.content) == (204, b"")


@pytest.mark.parametrize("number", ["-1", "x", "1.5", str(2**31)])
async def test_422_a_number_that_is_none(world: World, number: str) -> None:
    person = await world.person()
    path = await finished(world, person)
    async with world.client(person) as client:
        answer = await client.get(path, headers={"Last-Event-ID": number})
    assert_problem(answer, 422, "invalid_input")


async def test_each_new_event_arrives_while_the_job_runs(
    world: World, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_events, "POLL_SECONDS", 0.02)
    person = await world.person()
    job_id = await queue(database, person)
    headers = {"Authorization": f"Bearer {person.id}"}
    async with (
        served(world.app) as url,
        httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as client,
        client.stream("GET", f"/api/jobs/{job_id}/events") as answer,
    ):
        events = told(answer)
        assert (await anext(events))["kind"] == "queued"
        job = await claimed(database)
        for text in ("one", "two"):
            await job.advance({"events": [{"kind": "repair", "text": text, "data": {}}]})
            assert (await anext(events))["text"] == text
        end = [{"kind": "failed", "text": "No.", "data": {}}]
        await job.finish("failed", {"code": "x", "reason": "No."}, end)
        assert [event["kind"] async for event in events] == ["failed"]


async def test_silence_is_broken_so_that_nobody_takes_it_for_dead(
    world: World, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_events, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(job_events, "QUIET_SECONDS", 0.0)
    person = await world.person()
    job_id = await queue(database, person)
    headers = {"Authorization": f"Bearer {person.id}"}
    async with (
        served(world.app) as url,
        httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as client,
        client.stream("GET", f"/api/jobs/{job_id}/events") as answer,
    ):
        async for line in answer.aiter_lines():
            if line.startswith(":"):
                return
    raise AssertionError("nothing was said")


async def test_what_a_job_made_is_deployed_again_and_followed(world: World) -> None:
    person = await world.person()
    path = await finished(world, person)
    job_id = path.split("/")[3]
    async with world.client(person) as client:
        answer = await client.post("/api/deploy", json={"job_id": job_id})
        assert answer.status_code == 201, answer.text
        place = answer.headers["location"]
        assert (await client.get(place)).json()["version"] == 1
        events = [event async for event in told(await client.get(f"{place}/events"))]
    assert [event["kind"] for event in events][-1] == "deployed"
    assert len(events) > 5


async def test_an_api_is_deployed_in_its_newest_version(world: World, database: Database) -> None:
    person = await world.person()
    api = await make_api(database, person.tenant_id, created_by=person.id)
    async with world.client(person) as client:
        answer = await client.post("/api/deploy", json={"api_id": api.slug})
        assert (answer.status_code, answer.json()["version"]) == (201, 1)
        place = answer.headers["location"]
        events = [event async for event in told(await client.get(f"{place}/events"))]
    assert [event["kind"] for event in events] == ["deployed"]


async def test_what_cannot_be_deployed(world: World, database: Database) -> None:
    person, stranger = await world.person(), await world.person()
    job_id = str(await queue(database, person))
    api = await make_api(database, person.tenant_id)
    deployment = (await database.select("deployments", identity=SERVICE))[0]["id"]
    async with world.client(person) as client:
        neither = await client.post("/api/deploy", json={})
        early = await client.post("/api/deploy", json={"job_id": job_id})
        assert_problem(neither, 422, "invalid_deployment")
        assert_problem(early, 409, "job_not_ready")
    async with world.client(stranger) as client:
        for body, code in (
            ({"api_id": api.id}, "api_not_found"),
            ({"job_id": job_id}, "job_not_found"),
        ):
            assert_problem(await client.post("/api/deploy", json=body), 404, code)
        for path in (f"/api/deployments/{deployment}", f"/api/deployments/{deployment}/events"):
            assert_problem(await client.get(path), 404, "deployment_not_found")

"""Bad text through every text field of the control plane, as its own document lists them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx
import pytest

from gateway.operations.file_urls import url_key
from gateway.operations.uploads import UploadParts
from gateway.store.blob_folder import BlobFolder
from tests.support.bad_texts import NUL, OTHERS, SURROGATE, WORST, encoded, faults_of, printable
from tests.support.control import World
from tests.support.factories import MadeApi, make_api
from tests.support.openapi_walk import Json, Operation, Place, operations, places

TAKEN = "taken although nothing can hold it"
# a report is thanked for whatever it says, and nothing of it is kept
BY_DESIGN = {("POST /api/keys/report", TAKEN)}


class Bench:
    """One API, its person and the administrator, and every operation of the document."""

    def __init__(self, world: World, document: Json, api: MadeApi, tenant: str) -> None:
        self.document = document
        self.operations = list(operations(document))
        self._world = world
        self._values = {
            "api_id": api.id, "n": "1", "key_id": api.key.id, "tenant_id": tenant, "name": "TOKEN",
            "ref": api.id, "switch": "publishing",
        }  # fmt: skip
        self._unknown = str(UUID(int=1))

    async def send(
        self, client: httpx.AsyncClient, operation: Operation, place: Place, text: str
    ) -> httpx.Response:
        """The request with the text in this place."""
        values, query = {**self._values}, ""
        if place.part == "path":
            values[str(place.way[0])] = text
        elif place.part == "query":
            query = f"?{place.way[0]}={encoded(text)}"
        path = operation.path
        for name in operation.parameters:
            path = path.replace("{" + name + "}", encoded(values.get(name, self._unknown)))
        body = place.put(operation.body, text) if place.part == "body" else operation.body
        headers = {b"content-type": b"application/json"}
        if place.part == "header":
            headers[str(place.way[0]).encode()] = printable(text)
        content = None if body is None else json.dumps(body).encode()  # escapes what is no ASCII
        return await client.request(
            operation.method, path + query, content=content, headers=headers
        )


@pytest.fixture
async def bench(world: World, tmp_path: Path) -> Bench:
    person = await world.person()
    files = UploadParts(
        BlobFolder(tmp_path, keep_free=0), lambda: [url_key(b"secret")], 10_000, 10_000
    )
    world.app.state.control = replace(world.app.state.control, uploads=files)
    api = await make_api(world.database, person.tenant_id, name="bystander")
    async with world.client() as client:
        document = (await client.get("/api/openapi.json")).json()
    return Bench(world, document, api, person.tenant_id)


def faults(place: Place, sent: str, answer: httpx.Response) -> Sequence[str]:
    """What is wrong with the answer."""
    found = [*faults_of(answer, "application/problem+json")]
    if answer.is_success and sent in (NUL, SURROGATE) and place.part == "body":
        found.append(TAKEN)
    return found


def chosen(texts: Mapping[str, str], place: Place, number: int) -> Mapping[str, str]:
    """All of them; of addresses, where the same names come again and again, each a share."""
    share = 4 if place.part == "path" and len(texts) > len(WORST) else 1
    return {name: text for i, (name, text) in enumerate(texts.items()) if (i + number) % share == 0}


async def everything(world: World, bench: Bench, texts: Mapping[str, str]) -> list[str]:
    wrong = []
    async with world.admin() as client:
        for operation in bench.operations:
            for number, place in enumerate(places(bench.document, operation)):
                for name, text in chosen(texts, place, number).items():
                    answer = await bench.send(client, operation, place, text)
                    wrong += [
                        f"{operation} {place.part} {place.way} {name}: {answer.status_code} {fault}"
                        for fault in faults(place, text, answer)
                        if (str(operation), fault) not in BY_DESIGN
                    ]
    return wrong


async def test_the_worst_texts_are_refused_or_kept_as_they_are(
    world: World, bench: Bench, owner: asyncpg.Connection
) -> None:
    assert len(bench.operations) > 30
    assert "\n".join(await everything(world, bench, WORST)) == ""
    assert await owner.fetchval("select count(*) from public.plans") == 3


@pytest.mark.slow
async def test_no_text_is_too_much(world: World, bench: Bench, owner: asyncpg.Connection) -> None:
    assert "\n".join(await everything(world, bench, OTHERS)) == ""
    assert await owner.fetchval("select count(*) from public.plans") == 3


async def test_ten_megabytes_are_refused_wherever_they_come(world: World, bench: Bench) -> None:
    text, wrong = "a" * 10_000_000, []
    async with world.admin() as client:
        for operation in bench.operations:
            ways = [place for place in places(bench.document, operation) if place.part == "body"]
            for place in ways[:1]:
                answer = await bench.send(client, operation, place, text)
                if answer.status_code != 413:
                    wrong.append(f"{operation}: {answer.status_code}")
    assert wrong == []


async def test_what_is_taken_is_kept_as_it_is(world: World) -> None:
    person = await world.person()
    api = await make_api(world.database, person.tenant_id)
    taken = 0
    async with world.client(person) as client:
        for name, text in {**WORST, **OTHERS}.items():
            content = json.dumps({"description": text}).encode()
            headers = {"content-type": "application/json"}
            changed = await client.patch(f"/api/apis/{api.id}", content=content, headers=headers)
            if changed.is_success:
                taken += 1
                read = await client.get(f"/api/apis/{api.id}")
                assert read.json()["description"] == text, name
            else:
                assert changed.status_code == 422, name
    assert taken > 10

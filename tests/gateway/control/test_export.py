"""The route that gives an API away as a project."""

import io
import zipfile

import httpx
import pytest

from gateway.store.database import SERVICE
from generator import library
from tests.support.control import World
from tests.support.factories import Person, make_api
from tests.support.problems import assert_problem
from tests.support.sandboxes import GOOD


async def made(world: World, person: Person, **more: str) -> str:
    async with world.client(person) as client:
        answer = await client.post("/api/apis", json={"name": "Chores ../ é", **more})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def exported(world: World, person: Person, api_id: str, query: str = "") -> httpx.Response:
    async with world.client(person) as client:
        return await client.get(f"/api/apis/{api_id}/export{query}")


def files(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as found:
        return {name.partition("/")[2]: found.read(name).decode() for name in found.namelist()}


class TestExport:
    async def test_200_a_zip_with_a_plain_name(self, world: World) -> None:
        person = await world.person()
        answer = await exported(world, person, await made(world, person, template="todo-list"))
        assert answer.headers["content-type"] == "application/zip"
        assert answer.headers["content-disposition"] == 'attachment; filename="chores-v1.zip"'
        assert answer.headers["x-content-type-options"] == "nosniff"

    async def test_200_an_api_from_a_template_has_its_examples(self, world: World) -> None:
        person = await world.person()
        found = files(
            await exported(world, person, await made(world, person, template="todo-list"))
        )
        one = library.get("todo-list")
        assert one is not None
        assert found["main.py"] == one.code
        assert "Buy milk" in found["tests/examples.json"]

    async def test_200_the_live_version_unless_another_is_named(self, world: World) -> None:
        person = await world.person()
        api_id = await made(world, person, code=GOOD)
        async with world.client(person) as client:
            body = {"code": f"{GOOD}# second\n", "deploy": False}
            await client.post(f"/api/apis/{api_id}/versions", json=body)
        assert files(await exported(world, person, api_id))["main.py"] == GOOD
        second = files(await exported(world, person, api_id, "?version=2"))
        assert second["main.py"].endswith("# second\n")

    async def test_200_operations_of_the_stored_document(self, world: World) -> None:
        person = await world.person()
        api = await make_api(world.database, person.tenant_id)
        document = {"paths": {"/cats": {"get": {"operationId": "all_cats"}}}}
        arguments = {"p_version_id": api.version_id, "p_document": document}
        await world.database.rpc("set_version_openapi", arguments, identity=SERVICE)
        found = files(await exported(world, person, api.id))
        assert "def all_cats(" in found["clients/python/client.py"]

    async def test_404_version_that_is_not_there(self, world: World) -> None:
        person = await world.person()
        answer = await exported(world, person, await made(world, person, code=GOOD), "?version=9")
        assert_problem(answer, 404, "version_not_found")

    @pytest.mark.parametrize("query", ["?version=0", "?version=x", "?version=99999999999"])
    async def test_422_version_that_is_no_number(self, world: World, query: str) -> None:
        person = await world.person()
        answer = await exported(world, person, await made(world, person, code=GOOD), query)
        assert answer.status_code == 422

    async def test_404_api_of_strangers(self, world: World) -> None:
        owner, stranger = await world.person(), await world.person()
        answer = await exported(world, stranger, await made(world, owner, code=GOOD))
        assert_problem(answer, 404, "api_not_found")

    async def test_an_administrators_look_is_written_down(self, world: World) -> None:
        owner = await world.person()
        api_id = await made(world, owner, code=GOOD)
        async with world.admin() as client:
            assert (await client.get(f"/api/apis/{api_id}/export")).status_code == 200
        assert (await exported(world, owner, api_id)).status_code == 200
        rows = await world.database.select("audit_log", identity=SERVICE)
        assert [row["action"] for row in rows].count("api.export") == 1

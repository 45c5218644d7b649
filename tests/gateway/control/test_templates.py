"""Routes of templates and suggestions, and APIs made from a template."""

from typing import Any

import httpx
import pytest

from gateway.operations.lacks import lacks_of
from gateway.store.database import SERVICE
from generator import library
from sandbox.types import Lock
from tests.support.control import World
from tests.support.factories import Person, make_api
from tests.support.problems import assert_problem


async def ask(
    world: World, person: Person, method: str, path: str, json: object = None
) -> httpx.Response:
    async with world.client(person) as client:
        return await client.request(method, path, json=json)


async def items(world: World, person: Person, path: str) -> list[dict[str, Any]]:
    answer = await ask(world, person, "GET", path)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


class TestTemplates:
    async def test_200_all_in_the_librarys_order(self, world: World) -> None:
        found = await items(world, await world.person(), "/api/templates")
        assert [one["slug"] for one in found] == [one.slug for one in library.all_templates()]
        assert {"method": "POST", "path": "/todos", "summary": "A new entry at the end"} in next(
            one["operations"] for one in found if one["slug"] == "todo-list"
        )

    async def test_200_those_that_have_to_do_with_a_text(self, world: World) -> None:
        person = await world.person()
        found = await items(world, person, "/api/templates?q=shorten%20links&limit=1")
        assert [one["slug"] for one in found] == ["url-shortener"]
        assert await items(world, person, "/api/templates?q=chess") == []

    async def test_200_pages(self, world: World) -> None:
        person = await world.person()
        first = await items(world, person, "/api/templates?limit=2")
        second = await items(world, person, "/api/templates?limit=2&offset=2")
        slugs = [one["slug"] for one in [*first, *second]]
        assert slugs == [one.slug for one in library.all_templates()][:4]

    async def test_200_one_with_contract_code_and_readme(self, world: World) -> None:
        answer = await ask(world, await world.person(), "GET", "/api/templates/todo-list")
        one = library.get("todo-list")
        assert one is not None
        assert answer.json()["code"] == one.code
        assert answer.json()["contract"]["operations"][0]["examples"]
        assert answer.json()["readme"].startswith("# To-do list")

    async def test_404_one_that_is_not_there(self, world: World) -> None:
        answer = await ask(world, await world.person(), "GET", "/api/templates/..%2Flibrary")
        assert answer.status_code == 404
        answer = await ask(world, await world.person(), "GET", "/api/templates/nothing")
        assert_problem(answer, 404, "template_not_found")

    async def test_422_text_that_nobody_can_see(self, world: World) -> None:
        answer = await ask(world, await world.person(), "GET", "/api/templates?q=a%00b")
        assert_problem(answer, 422, "invalid_text")


class TestCreate:
    async def test_201_code_description_and_hosts_of_the_template(self, world: World) -> None:
        person = await world.person()
        body = {"name": "Quotes", "template": "quote-of-the-day"}
        answer = await ask(world, person, "POST", "/api/apis", body)
        made, one = answer.json(), library.get("quote-of-the-day")
        assert one is not None
        assert (answer.status_code, made["slug"], made["status"]) == (201, "quotes", "active")
        assert made["description"] == one.summary
        assert made["egress"] == {"hosts": ["zenquotes.io"]}
        version = await ask(world, person, "GET", f"/api/apis/{made['id']}/versions/1")
        assert version.json()["code"] == one.code

    async def test_201_what_is_said_goes_before_the_template(self, world: World) -> None:
        body = {
            "name": "Quotes",
            "template": "quote-of-the-day",
            "description": "",
            "egress": {"hosts": []},
        }
        made = (await ask(world, await world.person(), "POST", "/api/apis", body)).json()
        assert (made["description"], made["egress"]) == ("", {"hosts": []})

    async def test_201_its_dependencies_are_locked_as_anybodys(self, world: World) -> None:
        one = library.get("qr-code")
        assert one is not None
        wanted = next(line for line in one.code.splitlines() if "segno==" in line)
        requirement = wanted.split('"')[1]
        world.sandboxes.locks[(requirement,)] = Lock(
            "ab" * 32, f"{requirement} --hash=sha256:{'0' * 64}\n", (requirement,)
        )
        body = {"name": "QR", "template": "qr-code"}
        answer = await ask(world, await world.person(), "POST", "/api/apis", body)
        assert (answer.status_code, answer.json()["packages"]) == (201, [requirement])

    async def test_404_template_that_is_not_there_starts_nothing(self, world: World) -> None:
        body = {"name": "x", "template": "../../etc/passwd"}
        answer = await ask(world, await world.person(), "POST", "/api/apis", body)
        assert_problem(answer, 404, "template_not_found")
        assert world.sandboxes.acquired == []

    @pytest.mark.parametrize("more", [{}, {"code": "app = 1", "template": "todo-list"}])
    async def test_422_neither_or_both_of_code_and_template(
        self, world: World, more: dict[str, str]
    ) -> None:
        answer = await ask(world, await world.person(), "POST", "/api/apis", {"name": "x", **more})
        assert answer.status_code == 422
        assert "either code or template" in answer.text


PATHS = {
    "/books": {"post": {"summary": "Add"}, "get": {"summary": "All"}},
    "/books/{book_id}": {"get": {"summary": "One"}},
}


class TestSuggestions:
    async def test_200_templates_for_who_has_nothing(self, world: World) -> None:
        found = await items(world, await world.person(), "/api/suggestions")
        assert [one["kind"] for one in found] == ["template"] * 6
        assert all(library.get(one["template"]) for one in found)

    async def test_200_not_what_is_there_already(self, world: World) -> None:
        person = await world.person()
        first = (await items(world, person, "/api/suggestions"))[0]
        body = {"name": first["title"], "template": first["template"]}
        assert (await ask(world, person, "POST", "/api/apis", body)).status_code == 201
        assert first not in await items(world, person, "/api/suggestions")

    async def test_200_what_an_api_lacks(self, world: World) -> None:
        person = await world.person()
        api = await make_api(world.database, person.tenant_id)
        document = {"p_version_id": api.version_id, "p_document": {"paths": PATHS}}
        await world.database.rpc("set_version_openapi", document, identity=SERVICE)
        found = await items(world, person, f"/api/suggestions?api_id={api.id}")
        assert {"Delete them", "Change them", "Pages"} <= {one["title"] for one in found}
        assert {one["api_id"] for one in found} == {api.id}

    async def test_200_nothing_for_an_api_without_a_document(self, world: World) -> None:
        person = await world.person()
        api = await make_api(world.database, person.tenant_id)
        assert await items(world, person, f"/api/suggestions?api_id={api.slug}") == []

    async def test_404_api_of_strangers(self, world: World) -> None:
        owner, stranger = await world.person(), await world.person()
        api = await make_api(world.database, owner.tenant_id)
        answer = await ask(world, stranger, "GET", f"/api/suggestions?api_id={api.id}")
        assert_problem(answer, 404, "api_not_found")


class TestLacks:
    def test_they_are_sentences_about_paths_that_are_there(self) -> None:
        prompts = [one.prompt for one in lacks_of({"paths": PATHS})]
        assert prompts[0].startswith("Add DELETE /books/{book_id} ")
        assert any(prompt.startswith("Let GET /books answer in pages") for prompt in prompts)

    def test_a_complete_api_lacks_nothing(self) -> None:
        listing = {"summary": "All", "parameters": [{"name": "limit"}, {"name": "q"}]}
        said = {"summary": "x"}
        paths = {
            "/books": {"post": said, "get": listing},
            "/books/batch": {"post": said},
            "/books/{book_id}": {"get": said, "patch": said, "delete": said},
        }
        assert lacks_of({"paths": paths}) == []

    @pytest.mark.parametrize(
        "document",
        [
            {},
            {"paths": []},
            {"paths": {"/a": 1, "/b": {"get": []}, "/c": {"get": {"parameters": {"x": 1}}}}},
            {"paths": {"/a\x1b[2J{x}": {"post": {}}, "/" + "a" * 500: {"get": {}}}},
            {"paths": {"/a": {"post": {}}, "/a/{x": {"get": {"parameters": [1, "limit"]}}}},
        ],
    )
    def test_documents_of_strangers_do_no_harm(self, document: dict[str, Any]) -> None:
        for lack in lacks_of(document):
            assert lack.prompt.isprintable()
            assert len(lack.prompt) < 300

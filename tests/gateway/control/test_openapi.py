"""The document of the control API, and the page made from it."""

from typing import Any

from tests.support.control import World

PROBLEM = {"$ref": "#/components/schemas/Problem"}


async def document(world: World) -> dict[str, Any]:
    async with world.client() as client:
        answer = await client.get("/api/openapi.json")
    assert answer.status_code == 200
    value: dict[str, Any] = answer.json()
    return value


async def test_every_route_documents_its_problems(world: World) -> None:
    for path, operations in (await document(world))["paths"].items():
        for method, operation in operations.items():
            for status in ("4XX", "5XX", "422"):
                content = operation["responses"][status]["content"]
                assert content["application/problem+json"]["schema"] == PROBLEM, (method, path)
            assert operation["description"], (method, path)


async def test_problem_schema_requires_what_every_problem_has(world: World) -> None:
    schema = (await document(world))["components"]["schemas"]["Problem"]
    assert set(schema["required"]) == {
        "type",
        "title",
        "status",
        "detail",
        "code",
        "request_id",
    }


async def test_only_health_and_ready_are_open(world: World) -> None:
    made = await document(world)
    assert made["security"] == [{"session": []}, {"admin_key": []}]
    opened = {
        path for path, ops in made["paths"].items() for op in ops.values() if "security" in op
    }
    assert opened == {"/health", "/ready"}


async def test_no_reference_points_nowhere(world: World) -> None:
    made = await document(world)
    schemas = made["components"]["schemas"]

    def references(value: object) -> set[str]:
        if isinstance(value, dict):
            own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
            return own.union(*(references(item) for item in value.values()))
        if isinstance(value, list):
            return set().union(*(references(item) for item in value))
        return set()

    assert {ref.rpartition("/")[2] for ref in references(made)} <= schemas.keys()


async def test_operation_ids_are_unique(world: World) -> None:
    ids = [
        operation["operationId"]
        for operations in (await document(world))["paths"].values()
        for operation in operations.values()
    ]
    assert len(ids) == len(set(ids))


async def test_reference_page_shows_every_route_and_loads_nothing(world: World) -> None:
    async with world.client() as client:
        page = await client.get("/api/docs")
    made = await document(world)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert all(path in page.text for path in made["paths"])
    assert "<script" not in page.text
    assert "http://" not in page.text
    assert "https://" not in page.text

"""Every route of administrators, whoever adds it, is closed to everybody else."""

import re
from collections.abc import Iterable, Iterator
from uuid import uuid4

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from gateway.control.subject import administrator
from tests.support.control import World
from tests.support.problems import assert_problem

PREFIXES = ("/api/admin/", "/admin/")


def asks_for(dependant: Dependant) -> bool:
    return dependant.call is administrator or any(map(asks_for, dependant.dependencies))


def flat(found: Iterable[object]) -> Iterator[APIRoute]:
    """Routes, those of included routers too."""
    for each in found:
        if isinstance(each, APIRoute):
            yield each
        elif (router := getattr(each, "original_router", None)) is not None:
            yield from flat(router.routes)


def routes(world: World) -> list[APIRoute]:
    """Those below the prefixes, and those elsewhere that want an administrator."""
    every = list(flat(world.app.routes))
    documented = world.app.openapi()["paths"]
    assert isinstance(documented, dict)
    assert {route.path for route in every} >= documented.keys()
    return [r for r in every if r.path.startswith(PREFIXES) or asks_for(r.dependant)]


def requests(world: World) -> list[tuple[str, str]]:
    return [
        (method, re.sub(r"{[^}]*}", str(uuid4()), route.path))
        for route in routes(world)
        for method in sorted(route.methods or ())
    ]


async def test_every_route_of_administrators_is_closed_to_everybody_else(world: World) -> None:
    person = await world.person()
    asked = requests(world)
    assert ("GET", "/metrics") in asked
    for client, status, code in (
        (world.client(person), 403, "forbidden"),
        (world.client(), 401, "unauthorized"),
    ):
        async with client:
            for method, path in asked:
                # said before anything of the request is looked at
                body = None if method == "GET" else {"surprise": True}
                assert_problem(await client.request(method, path, json=body), status, code)
    assert world.changes.published == []

"""A client that leaves while its code is being started."""

import asyncio
import json
from typing import Any

from starlette.types import Message

from gateway.store.database import SERVICE
from tests.support.control import World
from tests.support.factories import Person, make_api
from tests.support.sandboxes import GOOD


class Leaver:
    """One POST whose client can leave at any time."""

    def __init__(self, world: World, person: Person, path: str, body: object) -> None:
        self._app = world.app
        self._left = asyncio.Event()
        self._content: bytes | None = json.dumps(body).encode()
        self.sent: list[Message] = []
        self._scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "server": ("test", 80),
            "client": ("127.0.0.1", 1),
            "headers": [
                (b"host", b"test"),
                (b"content-type", b"application/json"),
                (b"authorization", f"Bearer {person.id}".encode()),
            ],
        }

    def start(self) -> asyncio.Task[None]:
        return asyncio.create_task(self._app(self._scope, self._receive, self._send))

    def leave(self) -> None:
        self._left.set()

    async def _receive(self) -> Message:
        if self._content is not None:
            content, self._content = self._content, None
            return {"type": "http.request", "body": content, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.sent.append(message)


async def test_leaving_during_the_start_leaves_neither_sandbox_nor_row(world: World) -> None:
    person = await world.person()
    world.sandboxes.gate.clear()
    leaver = Leaver(world, person, "/api/apis", {"name": "x", "code": GOOD})
    request = leaver.start()
    await world.sandboxes.starting.wait()
    leaver.leave()
    world.sandboxes.gate.set()
    await request
    assert world.sandboxes.running == {}
    assert await world.database.select("apis", identity=SERVICE) == []


async def test_leaving_during_a_new_version_keeps_the_live_one(world: World) -> None:
    person = await world.person()
    api = await make_api(world.database, person.tenant_id)
    async with world.client(person) as client:
        await client.post(f"/api/apis/{api.id}/deployments", json={"version": 1})
    before = dict(world.sandboxes.running)
    world.sandboxes.gate.clear()
    world.sandboxes.starting.clear()
    leaver = Leaver(world, person, f"/api/apis/{api.id}/versions", {"code": GOOD})
    request = leaver.start()
    await world.sandboxes.starting.wait()
    leaver.leave()
    world.sandboxes.gate.set()
    await request
    assert world.sandboxes.running == before
    assert len(await world.database.select("api_versions", identity=SERVICE)) == 1


async def test_client_that_stays_is_answered(world: World) -> None:
    person = await world.person()
    leaver = Leaver(world, person, "/api/apis", {"name": "x", "code": GOOD})
    await leaver.start()
    assert leaver.sent[0]["status"] == 201

"""A tenant of several people on two gateways: worked on together, suspended, restored, deleted."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import typer
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from gateway.cli.client import register
from tests.journeys.test_limits import new_tenant
from tests.support.client_command import Command
from tests.support.engines import require
from tests.support.installation import Installation, installation
from tests.support.redis_server import redis_server

PASSWORD = "long enough 1"  # the one of `new_tenant`
KEYS = 3
GOOD, STOPPED = "answered", "tenant_suspended"
IN_A_ROW = 20  # answers to one key, after which both gateways have had their say
SECONDS = 10.0  # 1 s is promised; the machine of a test may be busy with others
APP = """
from fastapi import FastAPI, WebSocket

app = FastAPI()


@app.get("/")
def root():
    return {}


@app.websocket("/echo")
async def echo(socket: WebSocket):
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)
"""


@pytest.fixture(scope="module")
def two() -> Iterator[Installation]:
    require("bubblewrap")
    with redis_server("--unixsocketperm", "777") as redis:
        redis.socket.parent.chmod(0o755)
        with installation(
            SANDBOX_RUNTIME="bubblewrap", GATEWAY_WORKERS="2", REDIS_URL=redis.url
        ) as made:
            yield made


def command(two: Installation, folder: Path, email: str) -> Command:
    """The command of somebody who has just signed up and signed in."""
    new_tenant(two, email).close()
    app = typer.Typer()
    register(app)
    made = Command(app, folder / email)
    result = made("login", "--url", two.url, "--email", email, "--password", PASSWORD)
    assert result.exit_code == 0, result.output
    return made


@pytest.fixture
def team(two: Installation, tmp_path: Path) -> dict[str, Any]:
    """A tenant with an owner and a developer, both on the command line, an API and its keys."""
    unique = f"{time.monotonic_ns()}@example.com"
    owner = command(two, tmp_path, f"owner{unique}")
    developer = command(two, tmp_path, f"developer{unique}")
    tenant = owner.json("tenants", "create", "cats")
    sent = owner.json("invite", "create", "cats", f"developer{unique}")
    assert developer.json("invite", "accept", sent["token"])["role"] == "developer"
    with two.client() as client:
        answer = client.post(
            "/auth/v1/token",
            params={"grant_type": "password"},
            json={"email": f"developer{unique}", "password": PASSWORD},
        )
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        body = {"name": "cats", "code": APP, "tenant_id": tenant["id"]}
        api = client.post("/api/apis", json=body).json()
        more = [client.post(f"/api/apis/{api['id']}/keys", json={}) for _ in range(KEYS - 1)]
    two.lift_limits(tenant["id"])
    return {
        "owner": owner,
        "id": tenant["id"],
        "path": f"/{api['id']}",
        "keys": [api["api_key"], *(key.json()["key"] for key in more)],
    }


def calling(two: Installation, headers: dict[str, str]) -> aiohttp.ClientSession:
    """A connection for each call, so that either gateway may take it."""
    return aiohttp.ClientSession(
        two.url, headers=headers, connector=aiohttp.TCPConnector(force_close=True)
    )


class Callers:
    """Calls with every key, each on a connection of its own that either gateway may take."""

    def __init__(self, two: Installation, team: dict[str, Any]) -> None:
        self._two, self._team = two, team
        self._seen: list[tuple[float, str]] = []  # when it was sent, what it was answered
        self._in_a_row: Counter[tuple[str, str]] = Counter()

    async def __aenter__(self) -> "Callers":
        self._tasks = [asyncio.create_task(self._call(key)) for key in self._team["keys"]]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def all_get(self, code: str) -> None:
        """Wait until each key has been answered this, and nothing else, many times."""
        self._in_a_row.clear()
        async with asyncio.timeout(SECONDS):
            while any(self._in_a_row[key, code] < IN_A_ROW for key in self._team["keys"]):
                assert not any(task.done() for task in self._tasks)
                await asyncio.sleep(0.01)

    def last(self, code: str) -> float:
        """When the last call was sent that was answered this."""
        return max(at for at, seen in self._seen if seen == code)

    async def _call(self, key: str) -> None:
        async with calling(self._two, {"Authorization": f"Bearer {key}"}) as caller:
            while True:
                at = time.monotonic()
                async with caller.get(self._team["path"]) as answer:
                    is_good = answer.status == 200
                    self._note(key, at, GOOD if is_good else (await answer.json())["code"])

    def _note(self, key: str, at: float, code: str) -> None:
        self._seen.append((at, code))
        count = self._in_a_row[key, code] + 1
        for other in [pair for pair in self._in_a_row if pair[0] == key]:
            del self._in_a_row[other]
        self._in_a_row[key, code] = count


def listening(two: Installation, team: dict[str, Any]) -> ClientConnection:
    url = two.url.replace("http", "ws", 1) + team["path"] + "/echo"
    headers = {"Authorization": f"Bearer {team['keys'][0]}"}
    return connect(url, additional_headers=headers, proxy=None)


async def test_a_suspended_tenants_keys_stop_at_both_gateways_and_come_back(
    two: Installation, team: dict[str, Any]
) -> None:
    headers = {"X-API-Key": two.first["admin_api_key"]}
    path = f"/api/admin/tenants/{team['id']}"
    async with (
        Callers(two, team) as callers,
        aiohttp.ClientSession(two.url, headers=headers) as admin,
    ):
        await callers.all_get(GOOD)
        for status, wanted, before in (("suspended", STOPPED, GOOD), ("active", GOOD, STOPPED)) * 2:
            socket = await asyncio.to_thread(listening, two, team) if before == GOOD else None
            async with admin.patch(path, json={"status": status}) as answer:
                assert answer.status == 200
            answered = time.monotonic()
            await callers.all_get(wanted)
            late = callers.last(before) - answered
            print(f"{status}: the last other answer was to a call {late:+.3f} s from the change's")
            assert late < SECONDS
            if socket is not None:
                with pytest.raises(ConnectionClosed) as closed:
                    await asyncio.to_thread(socket.recv, SECONDS)
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1008
                told = await asyncio.to_thread(team["owner"].json, "tenants", "show", team["id"])
                assert told["status"] == "suspended"


async def test_a_plan_holds_at_both_gateways_from_the_next_call_on(
    two: Installation, team: dict[str, Any]
) -> None:
    headers = {"X-API-Key": two.first["admin_api_key"]}
    key = {"Authorization": f"Bearer {team['keys'][0]}"}
    change: dict[str, Any] = {"limits": {}}
    async with aiohttp.ClientSession(two.url, headers=headers) as admin:
        for plan, quantity in (("pro", "1000"), ("enterprise", "10000"), ("pro", "1000")):
            path = f"/api/admin/tenants/{team['id']}"
            async with admin.patch(path, json={**change, "plan": plan}) as answer:
                assert answer.status == 200
            async with asyncio.timeout(SECONDS), calling(two, key) as caller:
                in_a_row = 0
                while in_a_row < IN_A_ROW:
                    async with caller.get(team["path"]) as answer:
                        is_new = answer.headers["x-ratelimit-limit"] == quantity
                    in_a_row = in_a_row + 1 if is_new else 0


async def test_a_deleted_tenants_keys_stop_at_both_gateways(
    two: Installation, team: dict[str, Any]
) -> None:
    async with Callers(two, team) as callers:
        await callers.all_get(GOOD)
        command = ("tenants", "delete", team["id"], "--yes")
        assert (await asyncio.to_thread(team["owner"], *command)).exit_code == 0
        await callers.all_get("api_not_found")
    assert team["owner"]("tenants", "show", team["id"]).exit_code == 1

"""The data server over real sockets and a real database, against those who misuse it."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.data import connection, server
from gateway.data.server import DataServer, serving_data
from gateway.store.database import Database, DatabaseUnavailableError
from gateway.store.kv import Found, KvStore
from gateway.store.postgres import PostgresDatabase
from sandbox.outlet import Outlet
from sandbox.paths import RunPaths
from tests.support.data import bound, dialled, serving, short_directory
from tests.support.factories import MadeApi, make_api, make_user
from tests.support.waiting import until


@pytest.fixture
async def api(database: Database, dsn: str) -> MadeApi:
    return await make_api(database, (await make_user(dsn)).tenant_id)


@pytest.fixture
def store(database: Database) -> KvStore:
    return KvStore(database)


@pytest.fixture
async def path(store: KvStore, api: MadeApi) -> AsyncIterator[Path]:
    with short_directory() as folder:
        async with serving(store, api.id, folder / "data.sock"):
            yield folder / "data.sock"


class Hanging(KvStore):
    """A store that answers when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.asked = 0

    async def get(self, api_id: str, key: str) -> Found | None:
        self.asked += 1
        await self.go.wait()
        return Found(key)


async def test_every_operation(path: Path) -> None:
    async with dialled(path) as raw:
        assert await raw.ask(op="get", key="k") is None
        assert await raw.ask(op="set", key="k", value={"a": [1]}) is True
        assert await raw.ask(op="get", key="k") == {"value": {"a": [1]}}
        assert await raw.ask(op="set", key="k", value=2, if_absent=True) is False
        assert await raw.ask(op="set", key="k", value=2, if_equals={"a": [1]}) is True
        assert await raw.ask(op="increment", key="k", by=3) == 5
        assert await raw.ask(op="list", with_values=True) == {
            "keys": ["k"],
            "values": [5],
            "is_complete": True,
        }
        assert await raw.ask(op="list") == {"keys": ["k"], "values": None, "is_complete": True}
        assert await raw.ask(op="delete", key="k") is True


async def test_refusals_are_told_by_their_code(path: Path) -> None:
    async with dialled(path) as raw:
        await raw.ask(op="set", key="text", value="x")
        assert await raw.ask(op="increment", key="text") == "not_an_integer"
        assert await raw.ask(op="nothing") == "unknown_operation"
        assert await raw.ask(op="get", key="k", api_id="another") == "bad_request"
        assert await raw.ask(op="get", key="text") == {"value": "x"}


async def test_an_api_that_is_gone_has_no_data(store: KvStore) -> None:
    for nobody in ("00000000-0000-4000-8000-000000000000", "no id at all"):
        with short_directory() as folder:
            async with (
                serving(store, nobody, folder / "data.sock"),
                dialled(folder / "data.sock") as raw,
            ):
                assert await raw.ask(op="set", key="k", value=1) == "not_found"


async def test_requests_in_flight_are_answered_as_they_are_done() -> None:
    hanging = Hanging()
    with short_directory() as folder:
        async with serving(hanging, "a", folder / "s"), dialled(folder / "s") as raw:
            raw.send(b'{"id": 1, "op": "get", "key": "a"}')
            raw.send(b'{"id": 2, "op": "nonsense"}')
            assert (await raw.answer())["id"] == 2
            hanging.go.set()
            assert await raw.answer() == {"id": 1, "ok": {"value": "a"}}


@pytest.mark.parametrize(
    "frame",
    [
        b"\0\0\0\0",
        b"\xff\xff\xff\xff",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0\0\0\x02[]",
        b"\0\0\0\x01{",
        b'\0\0\0\x0c{"id": true}',
    ],
)
async def test_nonsense_ends_its_connection_and_no_other(path: Path, frame: bytes) -> None:
    async with dialled(path) as good, dialled(path) as bad:
        bad.writer.write(frame)
        assert await bad.is_closed()
        assert await good.ask(op="set", key="k", value=1) is True


async def test_the_owner_reads_why_but_not_for_ever() -> None:
    said: list[str] = []
    with short_directory() as folder:
        data = DataServer(Hanging())
        data.opened("s", "a", bound(folder / "s"), {}, said.append)
        for _ in range(server.LINES + 5):
            async with dialled(folder / "s") as raw:
                raw.writer.write(b"\0\0\0\0")
                assert await raw.is_closed()
        await data.close()
    assert len(said) == server.LINES
    assert said[0].startswith("data: connection closed: a request of 0 bytes")


async def test_connections_that_leave_make_room(path: Path) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(server.CONNECTIONS):
            group.create_task(_served(path))
    # all of them are gone again, so the next one has room
    async with dialled(path) as raw:
        assert await raw.ask(op="get", key="k") is None


async def _served(path: Path) -> None:
    async with dialled(path) as raw:
        assert await raw.ask(op="get", key="k") is None


async def test_connections_above_the_cap_wait_for_one_to_leave(path: Path) -> None:
    held = [await asyncio.open_unix_connection(path) for _ in range(server.CONNECTIONS)]
    async with dialled(path) as raw:
        asked = asyncio.create_task(raw.ask(op="get", key="k"))
        _, one = held.pop()
        assert not asked.done()
        one.transport.abort()
        assert await asked is None
    for _, writer in held:
        writer.transport.abort()


async def test_requests_in_flight_are_bounded_over_all_connections() -> None:
    hanging = Hanging()
    with short_directory() as folder:
        async with (
            serving(hanging, "a", folder / "s"),
            dialled(folder / "s") as first,
            dialled(folder / "s") as second,
        ):
            for number in range(connection.IN_FLIGHT + 10):
                raw = first if number % 2 else second
                raw.send(json.dumps({"id": number, "op": "get", "key": "k"}).encode())
            await until(lambda: hanging.asked == connection.IN_FLIGHT)
            hanging.go.set()
            await until(lambda: hanging.asked == connection.IN_FLIGHT + 10)


@pytest.mark.parametrize("sent", [b"", b"\0\0", b"\0\0\0\x20{"])
async def test_who_says_nothing_for_long_is_dropped(
    path: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(connection, "IDLE_SECONDS", 0.1)
    monkeypatch.setattr(connection, "FRAME_SECONDS", 0.1)
    async with dialled(path) as raw:
        raw.writer.write(sent)
        assert await raw.is_closed()


async def test_who_reads_no_answers_is_dropped(
    store: KvStore, api: MadeApi, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "FRAME_SECONDS", 0.3)
    await store.set(api.id, "large", json.dumps("x" * 200_000))
    async with dialled(path) as raw:
        raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for number in range(30):
            raw.send(json.dumps({"id": number, "op": "get", "key": "large"}).encode())

        async def written() -> None:
            await raw.writer.drain()
            while True:
                raw.send(b'{"id": 1, "op": "get", "key": "large"}')
                await raw.writer.drain()
                await asyncio.sleep(0.01)

        with pytest.raises(ConnectionError):
            async with asyncio.timeout(20):
                await written()
    async with dialled(path) as raw:
        assert await raw.ask(op="get", key="k") is None


async def test_a_flood_is_refused_until_its_debt_is_paid(
    store: KvStore, api: MadeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LONGEST_WAIT", 0.0)
    now = 0.0
    with short_directory() as folder:
        data = DataServer(store, clock=lambda: now)
        data.opened("s", api.id, bound(folder / "s"), {}, lambda _: None)
        async with dialled(folder / "s") as raw:
            answers: list[object] = []
            while len(answers) < 40 and answers[-1:] != ["busy"]:
                answers.append(await raw.ask(op="set", key="k", value="x" * 250_000))
            assert answers[0] is True
            assert answers[-1] == "busy"
            now += 60
            assert await raw.ask(op="delete", key="k") is True
        await data.close()


async def test_a_database_that_is_away_is_told_at_once(tmp_path: Path) -> None:
    async with await PostgresDatabase.connect(tmp_path, seconds=3) as nowhere:
        with short_directory() as folder:
            async with serving(KvStore(nowhere), "a", folder / "s"), dialled(folder / "s") as raw:
                assert await raw.ask(op="get", key="k") == "unavailable"
                assert await raw.ask(op="set", key="k", value=1) == "unavailable"


async def test_a_fault_of_ours_is_an_answer_too(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(KvStore):
        def __init__(self) -> None:
            pass

        async def get(self, api_id: str, key: str) -> Found | None:
            raise DatabaseUnavailableError

    with short_directory() as folder:
        async with serving(Broken(), "a", folder / "s"), dialled(folder / "s") as raw:
            assert await raw.ask(op="get", key="k") == "unavailable"


async def test_two_sandboxes_of_an_api_share_its_data_and_others_do_not(
    store: KvStore, api: MadeApi, database: Database
) -> None:
    other = await make_api(database, api.tenant_id)
    with short_directory() as folder:
        data = DataServer(store)
        for name, api_id in (("one", api.id), ("two", api.id), ("three", other.id)):
            data.opened(name, api_id, bound(folder / name), {}, lambda _: None)
        async with (
            dialled(folder / "one") as one,
            dialled(folder / "two") as two,
            dialled(folder / "three") as three,
        ):
            await one.ask(op="set", key="k", value=1)
            assert await two.ask(op="get", key="k") == {"value": 1}
            assert await three.ask(op="get", key="k") is None
        await data.close()


async def test_a_sandbox_that_ends_is_cut_off_with_what_is_in_flight() -> None:
    hanging = Hanging()
    with short_directory() as folder:
        data = DataServer(hanging)
        data.opened("s", "a", bound(folder / "s"), {}, lambda _: None)
        async with dialled(folder / "s") as raw:
            raw.send(b'{"id": 1, "op": "get", "key": "k"}')
            await until(lambda: hanging.asked == 1)
            data.closed("s")
            data.closed("s")
            assert await raw.is_closed()
        await data.close()


async def test_a_manager_that_comes_back_breaks_no_connection(store: KvStore, api: MadeApi) -> None:
    with short_directory() as folder:
        data = DataServer(store)
        listener = bound(folder / "s")
        data.opened("s", api.id, listener.dup(), {}, lambda _: None)
        async with dialled(folder / "s") as raw:
            await raw.ask(op="set", key="k", value=1)
            data.opened("s", api.id, listener.dup(), {}, lambda _: None)
            assert await raw.ask(op="get", key="k") == {"value": 1}
            async with dialled(folder / "s") as later:
                assert await later.ask(op="get", key="k") == {"value": 1}
            data.opened("s", "another", listener.dup(), {}, lambda _: None)
            assert await raw.is_closed()
        listener.close()
        await data.close()


async def test_descriptors_do_not_grow(store: KvStore, api: MadeApi) -> None:
    with short_directory() as folder:
        data = DataServer(store)
        await store.get(api.id, "k")
        before = len(os.listdir("/proc/self/fd"))
        for number in range(20):
            data.opened("s", api.id, bound(folder / str(number)), {}, lambda _: None)
            async with dialled(folder / str(number)) as raw:
                assert await raw.ask(op="get", key="k") is None
            data.closed("s")
        await until(lambda: len(os.listdir("/proc/self/fd")) <= before)
        await data.close()


async def test_listeners_come_through_the_outlet_and_survive_a_restart(
    store: KvStore, api: MadeApi
) -> None:
    with short_directory() as folder:
        at = RunPaths(folder).data_socket
        said: list[Any] = []
        outlet = Outlet(at, lambda *line: said.append(line))
        running = asyncio.create_task(outlet.run())
        listener = bound(folder / "s")
        outlet.open("s", api.id, listener, {})
        async with serving_data(at, store), dialled(folder / "s") as raw:
            await raw.ask(op="set", key="k", value=1)
            raw.writer.write(b"\0\0\0\0")
            assert await raw.is_closed()
            await until(lambda: bool(said))
        async with dialled(folder / "s") as raw:
            asked = asyncio.create_task(raw.ask(op="get", key="k"))  # nobody is there to hear it
            async with serving_data(at, store):
                assert await asked == {"value": 1}
                outlet.close("s")
                assert await raw.is_closed()
        running.cancel()
        await asyncio.wait({running})
        listener.close()
    assert said[0][0] == "s"

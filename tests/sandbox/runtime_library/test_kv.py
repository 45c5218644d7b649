"""The library that user code imports, against the real server on a real database."""

import asyncio
import inspect
import os
import socket
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from gateway.data import connection
from gateway.data.server import DataServer
from gateway.store.database import Database
from gateway.store.kv import Found, KvStore
from sandbox.runtime_library.sandgate_runtime import (
    KeyValue,
    KvError,
    KvQuotaError,
    KvUnavailableError,
    SyncKeyValue,
    kv,
)
from tests.support.data import bound, serving, short_directory
from tests.support.factories import MadeApi, make_api, make_user
from tests.support.waiting import until


@pytest.fixture
async def api(database: Database, dsn: str) -> MadeApi:
    return await make_api(database, (await make_user(dsn)).tenant_id)


@pytest.fixture
async def path(database: Database, api: MadeApi) -> AsyncIterator[str]:
    with short_directory() as folder:
        async with serving(KvStore(database), api.id, folder / "data.sock"):
            yield str(folder / "data.sock")


class Threaded:
    """The synchronous methods, each called in a thread: one set of tests for both."""

    def __init__(self, path: str, seconds: float = 5.0) -> None:
        self._kv = SyncKeyValue(path, seconds)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._kv, name)

        async def call(*args: Any, **more: Any) -> Any:
            return await asyncio.to_thread(method, *args, **more)

        return call


@pytest.fixture(params=["async", "sync"])
async def kind(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """Makes stores whose connections are closed at the end."""
    made: list[Any] = []

    def make(*arguments: Any) -> Any:
        made.append({"async": KeyValue, "sync": Threaded}[request.param](*arguments))
        return made[-1]

    yield make
    for store in made:
        await store.close()


async def test_values_of_every_kind(kind: Any, path: str) -> None:
    store = kind(path)
    values: tuple[Any, ...] = (
        None,
        False,
        0,
        1.5,
        1e300,
        "é\0\ud800",
        [1, [2]],
        {"z": {}, "a": None},
    )
    for value in values:
        assert await store.set("k", value) is True
        assert await store.get("k", "default") == value
    assert await store.get("missing") is None
    assert await store.get("missing", 5) == 5


async def test_delete_and_conditions(kind: Any, path: str) -> None:
    store = kind(path)
    assert await store.delete("k") is False
    assert await store.set("k", 1, if_absent=True) is True
    assert await store.set("k", 2, if_absent=True) is False
    assert await store.replace("k", 2, 3) is False
    assert await store.replace("k", 1, 3, ttl=60) is True
    assert await store.get("k") == 3
    assert await store.delete("k") is True


async def test_counting(kind: Any, path: str) -> None:
    store = kind(path)
    assert await store.increment("n") == 1
    assert await store.increment("n", 41, ttl=60) == 42
    assert await store.increment("n", -2) == 40
    counts = await asyncio.gather(*(store.increment("n") for _ in range(50)))
    assert sorted(counts) == list(range(41, 91))


async def test_listing_goes_over_pages(
    kind: Any, path: str, database: Database, api: MadeApi
) -> None:
    store = kind(path)
    for number in range(12):
        await KvStore(database).set(api.id, f"n{number:02}", f'"{"x" * 200_000}"')
    await store.set("other", 1)
    assert len(await store.items("n")) == 12  # a page of values ends at a megabyte
    assert [key for key, _ in await store.items("n", limit=7)] == [f"n{n:02}" for n in range(7)]
    assert await store.list("n", limit=2, after="n03") == ["n04", "n05"]
    assert len(await store.list(limit=5000)) == 13
    assert await store.list("nothing") == []


async def test_errors_say_what_is_wrong(kind: Any, path: str) -> None:
    store = kind(path)
    with pytest.raises(KvError, match="1 to 512 bytes") as caught:
        await store.get("")
    assert caught.value.code == "invalid_key"
    await store.set("text", "x")
    with pytest.raises(KvError, match="whole number") as caught:
        await store.increment("text")
    assert caught.value.code == "not_an_integer"
    with pytest.raises(KvQuotaError, match="262144"):
        await store.set("k", "x" * 262_144)
    with pytest.raises(KvQuotaError):
        await store.set("k", "\ud800" + "é" * 60_000)
    with pytest.raises(TypeError, match="a text"):
        await store.get(5)
    with pytest.raises(TypeError, match="not JSON serializable"):
        await store.set("k", object())
    with pytest.raises(ValueError, match="JSON"):
        await store.set("k", float("nan"))
    with pytest.raises(KvError, match="ttl"):
        await store.set("k", 1, ttl=-1)
    assert await store.get("text") == "x"


async def test_a_full_store_is_a_quota_error(
    kind: Any, path: str, database: Database, api: MadeApi
) -> None:
    for number in range(40):
        await KvStore(database).set(api.id, f"{number:02}", f'"{"x" * 249_996}"')
    with pytest.raises(KvQuotaError, match="10 MB") as caught:
        await kind(path).set("one", 1)
    assert caught.value.code == "quota_exceeded"


async def test_where_nobody_serves_it_says_what_to_do(kind: Any, tmp_path: Path) -> None:
    with pytest.raises(KvUnavailableError, match="in tests for instance"):
        await kind(str(tmp_path / "data.sock")).get("k")


async def test_a_socket_that_nobody_listens_on(kind: Any) -> None:
    with short_directory() as folder:
        bound(folder / "s").close()
        with pytest.raises(KvUnavailableError, match="does not answer"):
            await kind(str(folder / "s")).get("k")


async def test_a_listener_that_nobody_accepts_from_costs_the_deadline(kind: Any) -> None:
    with (
        short_directory() as folder,
        closing(bound(folder / "s")),
        pytest.raises(KvUnavailableError, match=r"within 0\.2 seconds"),
    ):
        await kind(str(folder / "s"), 0.2).increment("k")


async def test_the_database_away_is_unavailable(kind: Any) -> None:
    class Away(KvStore):
        def __init__(self) -> None:
            pass

        async def get(self, api_id: str, key: str) -> Found | None:
            from gateway.store.database import DatabaseUnavailableError

            raise DatabaseUnavailableError

    with short_directory() as folder:
        async with serving(Away(), "a", folder / "s"):
            with pytest.raises(KvUnavailableError, match="try again") as caught:
                await kind(str(folder / "s")).get("k")
    assert caught.value.code == "unavailable"


# --- restarts of the server ---------------------------------------------------------------


@asynccontextmanager
async def served(listener: socket.socket, store: KvStore, api_id: str) -> AsyncIterator[DataServer]:
    """A server on a listener that outlives it, as the manager's does."""
    data = DataServer(store)
    data.opened("s", api_id, listener.dup(), {}, lambda _: None)
    try:
        yield data
    finally:
        await data.close()


async def test_a_restart_between_two_calls_is_not_noticed(
    kind: Any, database: Database, api: MadeApi
) -> None:
    with short_directory() as folder, closing(bound(folder / "s")) as listener:
        store = kind(str(folder / "s"))
        for expected in range(1, 4):
            async with served(listener, KvStore(database), api.id):
                assert await store.increment("n") == expected


async def test_a_call_while_nobody_is_there_waits_for_the_next_server(
    kind: Any, database: Database, api: MadeApi
) -> None:
    with short_directory() as folder, closing(bound(folder / "s")) as listener:
        asked = asyncio.create_task(kind(str(folder / "s")).increment("n"))
        async with served(listener, KvStore(database), api.id):
            assert await asked == 1


class Once(KvStore):
    """A store in which everything hangs until it is cut off."""

    def __init__(self) -> None:
        self.asked = 0

    async def get(self, api_id: str, key: str) -> Found | None:
        self.asked += 1
        await asyncio.Event().wait()
        return None

    async def increment(
        self, api_id: str, key: str, by: int = 1, *, seconds: float | None = None
    ) -> int:
        self.asked += 1
        await asyncio.Event().wait()
        return 0


async def test_a_lost_read_is_asked_again_and_a_lost_count_is_not(
    kind: Any, database: Database, api: MadeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.data.server.FINISH_SECONDS", 0.0)
    with short_directory() as folder, closing(bound(folder / "s")) as listener:
        store, hanging = kind(str(folder / "s")), Once()
        async with served(listener, hanging, api.id):
            read = asyncio.create_task(store.get("k", "default"))
            count = asyncio.create_task(store.increment("k"))
            await until(lambda: hanging.asked == 2)
        with pytest.raises(KvUnavailableError, match="may or may not"):
            await count
        async with served(listener, KvStore(database), api.id):
            assert await read == "default"


async def test_a_connection_that_was_dropped_for_idling_is_made_anew(
    kind: Any, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "IDLE_SECONDS", 0.05)
    store = kind(path)
    for expected in range(1, 4):
        assert await store.increment("n") == expected
        await asyncio.sleep(0.1)  # longer than the server keeps a silent connection


# --- loops, threads, processes ------------------------------------------------------------


async def test_each_event_loop_has_a_connection_of_its_own(path: str) -> None:
    store = KeyValue(path)

    async def once() -> int:
        try:
            return await store.increment("n")
        finally:
            await store.close()

    def elsewhere() -> int:
        return asyncio.run(once())

    assert await store.increment("n") == 1
    assert [await asyncio.to_thread(elsewhere) for _ in range(3)] == [2, 3, 4]
    assert await once() == 5


async def test_threads_share_a_few_connections(path: str) -> None:
    store = SyncKeyValue(path)
    with ThreadPoolExecutor(40) as pool:
        loop = asyncio.get_running_loop()
        counts = await asyncio.gather(
            *(loop.run_in_executor(pool, store.increment, "n") for _ in range(200))
        )
    assert sorted(counts) == list(range(1, 201))
    assert len(store._pool._idle) <= 8
    store.close()


async def test_a_forked_process_uses_no_connection_of_its_parent(path: str) -> None:
    store = SyncKeyValue(path)
    await asyncio.to_thread(store.increment, "n")
    shared = threading.Event()

    def fork() -> int:
        child = os.fork()
        if child == 0:
            os._exit(0 if store.increment("n") > 1 and not shared.is_set() else 1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert await asyncio.to_thread(fork) == 0
    assert await asyncio.to_thread(store.increment, "n") == 3
    store.close()


def test_both_kinds_have_the_same_methods() -> None:
    """Signatures too, so that moving from `async def` to `def` is adding `.sync`."""

    def methods(kind: type) -> dict[str, str]:
        return {
            name: str(inspect.signature(value))
            for name, value in vars(kind).items()
            if not name.startswith("_") and callable(value)
        }

    assert methods(KeyValue) == methods(SyncKeyValue)
    assert isinstance(kv, KeyValue)
    assert isinstance(kv.sync, SyncKeyValue)

"""The memory of loaded values: once each, bounded, never older than the news allow."""

import asyncio

import pytest

from gateway.errors import UnavailableError
from gateway.proxy import cache
from gateway.proxy.cache import FRESH_SECONDS, RETRY_SECONDS, STALE_SECONDS, LoadingCache
from gateway.store.database import DatabaseUnavailableError
from tests.support.waiting import until


class Source:
    """Values to load, and a clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.values: dict[str, str] = {}
        self.loads: list[str] = []
        self.down = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.cache: LoadingCache[str, str] = LoadingCache(self.load, clock=lambda: self.now, size=3)

    async def load(self, key: str) -> str | None:
        """The value as it was when the load began."""
        self.loads.append(key)
        value = self.values.get(key)
        await self.gate.wait()
        if self.down:
            raise DatabaseUnavailableError("down")
        return value


@pytest.fixture
async def source() -> Source:
    """Empty."""
    return Source()


async def test_a_value_is_loaded_once_for_all_who_ask_together(source: Source) -> None:
    """And then comes from memory."""
    source.values["a"] = "1"
    assert await asyncio.gather(*(source.cache.get("a") for _ in range(50))) == ["1"] * 50
    assert await source.cache.get("a") == "1"
    assert source.loads == ["a"]


async def test_what_does_not_exist_is_remembered_too(source: Source) -> None:
    """Until news about it come."""
    assert await source.cache.get("a") is None
    entry = source.cache.fresh("a")
    assert entry is not None
    assert entry.value is None
    source.values["a"] = "1"
    assert await source.cache.get("a") is None
    source.cache.invalidate(lambda _key, value: value is None)
    assert await source.cache.get("a") == "1"


async def test_the_least_recently_used_is_forgotten(source: Source) -> None:
    """Memory is bounded, whatever is asked for."""
    for key in ("a", "b", "c"):
        await source.cache.get(key)
    source.cache.fresh("a")
    await source.cache.get("d")
    assert len(source.cache) == 3
    assert source.cache.fresh("a") is not None
    assert source.cache.fresh("b") is None


async def test_past_its_time_a_value_is_served_while_it_is_loaded_again(source: Source) -> None:
    """Nobody waits for a refresh."""
    source.values["a"] = "1"
    await source.cache.get("a")
    source.values["a"] = "2"
    source.now += FRESH_SECONDS
    source.gate.clear()
    assert await source.cache.get("a") == "1"
    await until(lambda: len(source.loads) == 2)
    source.gate.set()
    await until(lambda: source.cache.fresh("a") is not None)
    assert await source.cache.get("a") == "2"


async def test_after_an_invalidation_everybody_waits_for_the_new_value(source: Source) -> None:
    """The old one is not served once more."""
    source.values["a"] = "1"
    await source.cache.get("a")
    source.values["a"] = "2"
    source.cache.invalidate(lambda key, _value: key == "a")
    assert source.cache.fresh("a") is None
    assert await source.cache.get("a") == "2"


async def test_a_load_overtaken_by_an_invalidation_is_not_stored(source: Source) -> None:
    """Who asks after it gets a load of their own."""
    source.values["a"] = "old"
    source.gate.clear()
    early = asyncio.create_task(source.cache.get("a"))
    await until(lambda: len(source.loads) == 1)
    source.values["a"] = "new"
    source.cache.invalidate(lambda _key, value: value == "old")
    late = asyncio.create_task(source.cache.get("a"))
    await until(lambda: len(source.loads) == 2)
    source.gate.set()
    assert await late == "new"
    assert await early == "old"
    assert await source.cache.get("a") == "new"


async def test_an_invalidation_of_something_else_does_not_spoil_a_load(source: Source) -> None:
    """Constant change elsewhere must not keep a value from being stored."""
    source.values["a"] = "1"
    source.gate.clear()
    load = asyncio.create_task(source.cache.get("a"))
    await until(lambda: len(source.loads) == 1)
    source.cache.invalidate(lambda key, _value: key == "b")
    source.gate.set()
    assert await load == "1"
    assert source.cache.fresh("a") is not None


async def test_while_the_store_is_down_the_old_value_goes_on(source: Source) -> None:
    """Also after an invalidation; it is tried again after a second, and no later than an hour."""
    source.values["a"] = "1"
    await source.cache.get("a")
    source.down = True
    source.cache.invalidate(lambda _key, _value: True)
    assert await source.cache.get("a") == "1"
    assert await source.cache.get("a") == "1"
    assert len(source.loads) == 2
    source.now += RETRY_SECONDS
    assert await source.cache.get("a") == "1"
    assert len(source.loads) == 3
    source.now += STALE_SECONDS
    with pytest.raises(UnavailableError):
        await source.cache.get("a")


async def test_an_unknown_key_while_the_store_is_down_is_unavailable(source: Source) -> None:
    """Neither found nor not found."""
    source.down = True
    with pytest.raises(UnavailableError):
        await source.cache.get("a")
    source.down = False
    assert await source.cache.get("a") is None


async def test_a_store_that_hangs_counts_as_down(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load has a deadline."""
    monkeypatch.setattr(cache, "LOAD_SECONDS", 0.05)
    source.gate.clear()
    with pytest.raises(UnavailableError):
        await source.cache.get("a")


async def test_a_load_outlives_the_caller_who_began_it(source: Source) -> None:
    """Others may be waiting for it."""
    source.values["a"] = "1"
    source.gate.clear()
    first = asyncio.create_task(source.cache.get("a"))
    second = asyncio.create_task(source.cache.get("a"))
    await until(lambda: len(source.loads) == 1)
    first.cancel()
    source.gate.set()
    assert await second == "1"


async def test_loads_at_the_same_time_are_bounded(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood of made-up addresses does not become a flood of queries."""
    monkeypatch.setattr(cache, "MAX_LOADS", 2)
    source.gate.clear()
    running = [asyncio.create_task(source.cache.get(key)) for key in ("a", "b")]
    await until(lambda: len(source.loads) == 2)
    with pytest.raises(UnavailableError):
        await source.cache.get("c")
    source.gate.set()
    await asyncio.gather(*running)


async def test_a_tag_finds_what_depends_on_it_and_nothing_else(source: Source) -> None:
    """However much is remembered."""
    tagged: LoadingCache[str, str] = LoadingCache(
        source.load, clock=lambda: source.now, tags=lambda _key, value: (value or "nothing",)
    )
    source.values |= {"a": "x", "b": "x", "c": "y"}
    for key in ("a", "b", "c", "d"):
        await tagged.get(key)
    tagged.invalidate_tagged("x", "nothing")
    assert [tagged.fresh(key) is None for key in ("a", "b", "c", "d")] == [True, True, False, True]
    source.values["a"] = "y"
    await tagged.get("a")
    tagged.invalidate_tagged("x")  # no longer its tag
    assert tagged.fresh("a") is not None


async def test_every_invalidation_doubts_every_load_that_runs(source: Source) -> None:
    """The second one too, when the first one did not concern the load."""

    def by_key() -> None:
        source.cache.invalidate(lambda key, _: key == "a")

    def by_tag() -> None:
        source.cache.invalidate_tagged("whatever it is")

    for doubt in (by_key, by_tag):
        source.values["a"] = "old"
        source.gate.clear()
        load = asyncio.create_task(source.cache.get("a"))
        await until(lambda: len(source.loads) % 2 == 1)
        source.cache.invalidate(lambda key, _: key == "other")
        source.cache.invalidate(lambda key, _: key == "a")
        doubt()
        source.gate.set()
        assert await load == "old"
        assert source.cache.fresh("a") is None
        source.loads.append("even")


async def test_forgotten_values_leave_no_tag_behind(source: Source) -> None:
    """Tags are as bounded as what they lead to."""
    tagged: LoadingCache[str, str] = LoadingCache(
        source.load, clock=lambda: source.now, size=2, tags=lambda key, _: (f"tag {key}",)
    )
    for key in "abcdef":
        await tagged.get(key)
    assert len(tagged._tagged) == 2
    tagged.invalidate_tagged("tag a", "tag f")
    assert tagged.fresh("e") is not None

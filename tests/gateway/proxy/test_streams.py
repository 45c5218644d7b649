"""What goes on after its call was answered is closed when key or version may not go on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from gateway.auth.restriction import KeyScopeError
from gateway.auth.verified import VerifiedKey
from gateway.auth.verify import KeyVerifier
from gateway.errors import UnavailableError
from gateway.proxy import streams as module
from gateway.proxy.permit import Made
from gateway.proxy.resolve import Resolver, Target
from gateway.proxy.streams import Reason, Streams
from tests.support.datapath import SECRETS, MemoryStore, NewsDesk
from tests.support.waiting import until

HERE = Made("GET", b"/live/ticks", "203.0.113.7")


class Desk:
    """A registry over memory stores, and what it closed."""

    def __init__(self) -> None:
        self.store, self.news = MemoryStore(), NewsDesk()
        self.now = 1_000_000.0
        self.verifier = KeyVerifier(self.store.key, SECRETS, self.news, clock=lambda: self.now)
        self.resolver = Resolver(self.store, self.news)
        self.streams = Streams(self.verifier, self.resolver, self.news, clock=lambda: self.now)
        self.route = self.store.add_api()
        self.key = self.store.add_key(self.route)
        self.reasons: list[Reason] = []

    @property
    def row(self) -> dict[str, Any]:
        """The last key, as it is stored."""
        return list(self.store.keys.values())[-1]

    async def open(self, presented: str = "", pin: int | None = None, made: Made = HERE) -> int:
        """One more stream."""
        presented = presented or self.key
        key: VerifiedKey = await self.verifier.verify(presented)
        destination = await self.resolver.find(self.route.api_id)
        target: Target = await self.resolver.target(destination, pin)
        return self.streams.add(presented, key, target, self.reasons.append, made)

    def change(self, **changes: Any) -> None:
        """The API changes."""
        self.route = replace(self.route, **changes)
        self.store.routes[self.route.api_id] = self.route
        self.news.publish("api", self.route.api_id)

    def codes(self) -> list[tuple[int, str]]:
        """How streams were closed."""
        return [(reason.close_code, reason.code) for reason in self.reasons]

    async def until_closed(self, count: int = 1) -> None:
        """So many."""
        await until(lambda: len(self.reasons) >= count)

    async def settled(self) -> None:
        """Everything was looked at that gave reason to."""
        probe = Desk.__new__(Desk)
        probe.__dict__ |= self.__dict__
        probe.reasons = []
        route = self.store.add_api()
        key = self.store.add_key(route)
        verified = await self.verifier.verify(key)
        target = await self.resolver.target(await self.resolver.find(route.api_id), None)
        self.streams.add(key, verified, target, probe.reasons.append, HERE)
        self.store.keys[list(self.store.keys)[-1]]["revoked_at"] = "2026-01-01T00:00:00+00:00"
        self.news.publish("key", verified.key_id)
        await until(lambda: bool(probe.reasons))
        self.store.keys.popitem()


@asynccontextmanager
async def running() -> AsyncIterator[Desk]:
    """With its task."""
    desk = Desk()
    task = asyncio.create_task(desk.streams.run())
    try:
        yield desk
    finally:
        task.cancel()


@pytest.mark.parametrize(
    ("change", "kind", "code"),
    [
        ({"revoked_at": "2026-01-01T00:00:00+00:00"}, "key", (1008, "key_revoked")),
        ({"tenant_status": "suspended"}, "tenant", (1008, "tenant_suspended")),
        ({"api_ids": []}, "key", (1008, "key_not_for_api")),
        ({"revoked_at": "2026-01-01T00:00:00+00:00"}, "all", (1008, "key_revoked")),
    ],
)
async def test_a_key_that_may_not_go_on_closes_its_streams(
    change: dict[str, Any], kind: str, code: tuple[int, str]
) -> None:
    async with running() as desk:
        for _ in range(3):
            await desk.open()
        desk.row.update(change)
        named = {"key": "key_id", "tenant": "tenant_id"}.get(kind)
        desk.news.publish(kind, desk.row[named] if named else "")
        await desk.until_closed(3)
        assert desk.codes() == [code] * 3
        assert len(desk.streams) == 0


async def test_news_alone_close_nothing() -> None:
    """What the stores say decides, whatever was announced."""
    async with running() as desk:
        await desk.open()
        row = desk.row
        for kind, identifier in (
            ("key", row["key_id"]), ("tenant", row["tenant_id"]), ("all", ""),
            ("api", desk.route.api_id), ("plan", "free"),
        ):  # fmt: skip
            desk.news.publish(kind, identifier)
        await desk.settled()
        assert desk.reasons == []
        assert len(desk.streams) == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"versions": ()}, (1012, "version_retired")),
        ({"status": "paused"}, (1012, "api_paused")),
        ({"status": "suspended"}, (1008, "api_suspended")),
        ({"tenant_status": "suspended"}, (1008, "api_suspended")),
    ],
)
async def test_a_version_that_serves_no_more_closes_its_streams(
    changes: dict[str, Any], code: tuple[int, str]
) -> None:
    async with running() as desk:
        await desk.open()
        desk.change(**changes)
        await desk.until_closed()
        assert desk.codes() == [code]


async def test_a_reload_leaves_streams_where_they_are() -> None:
    """In the sandbox of before, which stays for them; but not in any number of such."""
    async with running() as desk:
        for generation in range(1, 6):
            desk.change(generation=generation)
            await desk.open()
            await desk.open()
        await desk.settled()
        assert desk.reasons == []
        desk.change(generation=6)
        await desk.open()
        desk.news.publish("api", desk.route.api_id)
        await desk.until_closed(2)
        await desk.settled()
        assert desk.codes() == [(1012, "version_retired")] * 2
        assert len(desk.streams) == 9


async def test_an_api_that_is_gone_closes_its_streams() -> None:
    async with running() as desk:
        await desk.open()
        del desk.store.routes[desk.route.api_id]
        desk.news.publish("api", desk.route.api_id)
        await desk.until_closed()
        assert desk.codes() == [(1012, "version_retired")]


async def test_a_pinned_version_stays_while_it_exists() -> None:
    async with running() as desk:
        await desk.open(pin=1)
        desk.change(versions=())
        await desk.settled()
        assert desk.reasons == []
        desk.store.pins.clear()
        desk.change(versions=())
        await desk.until_closed()
        assert desk.codes() == [(1012, "version_retired")]


async def test_a_key_closes_its_streams_when_its_time_is_over() -> None:
    async with running() as desk:
        key = desk.store.add_key(desk.route, expires_at="1970-01-12T13:46:41+00:00")  # now + 1
        await desk.open(key)
        await desk.settled()
        assert desk.reasons == []
        desk.now += 1.5
        desk.streams._news.set()  # instead of waiting for it
        await desk.until_closed()
        assert desk.codes() == [(1008, "key_expired")]


async def test_what_changed_before_it_was_added_is_seen() -> None:
    """A handshake takes its time; the news came while nobody listened for this stream."""
    async with running() as desk:
        key = await desk.verifier.verify(desk.key)
        target = await desk.resolver.target(await desk.resolver.find(desk.route.api_id), None)
        desk.row["revoked_at"] = "2026-01-01T00:00:00+00:00"
        desk.news.publish("key", key.key_id)
        desk.streams.add(desk.key, key, target, desk.reasons.append, HERE)
        await desk.until_closed()
        assert desk.codes() == [(1008, "key_revoked")]


async def test_a_key_that_nobody_can_check_is_closed_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It goes on while there is hope, and when the database is back it was right to."""
    async with running() as desk:
        await desk.open()
        desk.store.down = UnavailableError("away")
        desk.news.publish("key", desk.row["key_id"])
        await until(lambda: len(desk.store.reads) >= 4)
        assert desk.reasons == []
        desk.store.down = None
        await desk.settled()
        assert desk.reasons == []
        monkeypatch.setattr(module, "DOUBT_SECONDS", 0.0)
        desk.store.down = UnavailableError("away")
        desk.news.publish("key", desk.row["key_id"])
        await desk.until_closed()
        assert desk.codes() == [(1013, "unavailable")]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"scopes": {"paths": ["/old/*"]}}, "key_scope"),
        ({"scopes": {"methods": ["POST"]}}, "key_scope"),
        ({"allowed_addresses": ["198.51.100.0/24"]}, "key_address"),
    ],
)
async def test_a_key_that_is_narrowed_closes_what_it_may_not_open_any_more(
    change: dict[str, Any], code: str
) -> None:
    async with running() as desk:
        await desk.open()
        await desk.open(made=Made("POST", b"/old/ticks", "198.51.100.9"))
        desk.row.update(change)
        desk.news.publish("key", desk.row["key_id"])
        await desk.until_closed()
        await desk.settled()
        assert desk.codes() == [(1008, code)]
        assert len(desk.streams) == 1


async def test_a_call_that_waited_is_refused_when_its_key_was_narrowed_meanwhile() -> None:
    desk = Desk()
    await desk.open()
    target = await desk.resolver.target(await desk.resolver.find(desk.route.api_id), None)
    desk.row.update({"scopes": {"methods": ["POST"]}})
    desk.news.publish("key", desk.row["key_id"])
    with pytest.raises(KeyScopeError):
        await desk.streams.look_again(0.0, desk.key, target, HERE)


async def test_what_ended_by_itself_is_not_closed() -> None:
    async with running() as desk:
        token = await desk.open()
        desk.streams.remove(token)
        desk.streams.remove(token)
        desk.streams.drain()
        assert desk.reasons == []


async def test_draining_closes_all_and_what_comes_after() -> None:
    async with running() as desk:
        await desk.open()
        desk.streams.drain()
        await desk.open()
        assert desk.codes() == [(1012, "gateway_stopped")] * 2


async def test_a_key_or_a_version_can_be_closed_by_hand() -> None:
    async with running() as desk:
        await desk.open()
        desk.streams.close_version(desk.route.versions[0].version_id)
        await desk.open()
        desk.streams.close_key(desk.row["key_id"], module.DRAINED)
        assert [code for code, _ in desk.codes()] == [1012, 1012]


async def test_one_that_fails_to_close_does_not_keep_the_others() -> None:
    async with running() as desk:
        key = await desk.verifier.verify(desk.key)
        target = await desk.resolver.target(await desk.resolver.find(desk.route.api_id), None)

        def fails(_: Reason) -> None:
            raise RuntimeError("mine")

        desk.streams.add(desk.key, key, target, fails, HERE)
        await desk.open()
        desk.streams.drain()
        assert len(desk.reasons) == 1


def test_the_text_of_a_key_is_not_printed() -> None:
    group = module._Group("sg_live_secret", None, {})
    assert "secret" not in repr(group)

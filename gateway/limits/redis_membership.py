"""Joining the gateways that share a Redis, and giving a Redis its memory back.

The epoch names the server's own run and a token. Every decision presents it. When Redis was
restarted, failed over or flushed, it does not hold any more and no decision is made in Redis
until its memory is restored: one gateway reads the database and raises the counters to it, then
every gateway tells what it knows itself, and only then the new epoch is set.
"""

import asyncio
import math
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import structlog

from gateway.limits import redis_keys
from gateway.limits.redis_script import Script, Scripts
from gateway.limits.redis_shadow import Debt, Shadow, width_of
from gateway.limits.redis_wire import ReplyError, Wire
from gateway.limits.types import Window

_log = structlog.get_logger(__name__)

Rows = Sequence[Mapping[str, Any]]  # `Any`: as the database sends them
Counts = Callable[[float], Awaitable[Rows]]

OPENING_SECONDS = 10  # a restoring gateway that says nothing for so long is dead
TELLING_SECONDS = 1.5  # for all the others to notice; more than their heartbeat
GATEWAY_SECONDS = 60  # one that was not seen for so long is gone
_POLL = 0.02
_CHUNK = 200


class StoreUnfitError(Exception):
    """This Redis cannot carry the limits; says why."""


def require_fit(info: Mapping[str, str]) -> None:
    """A cluster is refused: one decision spans keys of several subjects, so of several slots.

    So is a server that drops keys when it is full: dropped counters would let calls through.
    """
    if info.get("cluster_enabled") == "1":
        raise StoreUnfitError(
            "a Redis Cluster cannot decide over tenant, API and key in one step; "
            "use one server, with replicas if it may not fail"
        )
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction" and info.get("maxmemory", "0") != "0":
        raise StoreUnfitError(
            f"it forgets counters when its memory is full (maxmemory-policy {policy}); "
            "set maxmemory-policy noeviction"
        )


class Membership:
    """One gateway's part in it."""

    def __init__(
        self,
        scripts: Scripts,
        shadow: Shadow,
        counts: Counts,
        clock: Callable[[], float],
        gateways: int,
    ) -> None:
        self._scripts = scripts
        self._shadow = shadow
        self._counts = counts
        self._clock = clock
        self._id = secrets.token_hex(8)
        self._is_new = True
        self._counted = 0  # when there were as many gateways as we believe, by the store's clock
        self._late = 0  # seconds the store's clock is ahead of ours
        self._least = gateways  # there are at least so many
        shadow.gateways = gateways
        self.epoch = ""
        self.losses = 0  # how often this gateway saw the memory gone

    async def join(self, wire: Wire) -> None:
        """Be in step with the store: afterwards it knows all that this gateway knows."""
        info = fields(await wire.ask("INFO"))
        require_fit(info)
        seconds, micros = map(int, await wire.ask("TIME"))
        self._late = math.ceil(max(0.0, seconds + micros / 1e6 - self._clock()))
        run = info["run_id"]
        await self._count(wire, seconds)
        epoch = _text(await wire.ask("GET", redis_keys.EPOCH))
        if not epoch.startswith(f"{run}:"):
            self.losses += 1
            epoch = await self._restored(wire, run)
        elif self._is_new:
            await self._raise(wire, _debts(await self._counts(self._clock())))
        if epoch != self.epoch:
            await self._raise(wire, self._shadow.known())
        await self.pay(wire)
        self.epoch, self._is_new = epoch, False

    async def beat(self, wire: Wire) -> bool:
        """Say that this gateway is there and learn how many there are; False: not in step.

        A gateway that nobody calls must find out too: it may be the one that knows most.
        """
        await self._count(wire, int((await wire.ask("TIME"))[0]))
        self._shadow.rotate()
        return _text(await wire.ask("GET", redis_keys.EPOCH)) == self.epoch

    async def _count(self, wire: Wire, seconds: int) -> None:
        """Enter this gateway and count all. A number that falls is believed after a while:
        a store that lost its memory lost it too."""
        await wire.ask("ZADD", redis_keys.GATEWAYS, seconds, self._id)
        gone = seconds - GATEWAY_SECONDS
        await wire.ask("ZREMRANGEBYSCORE", redis_keys.GATEWAYS, "-inf", gone)
        there = int(await wire.ask("ZCARD", redis_keys.GATEWAYS))
        if there >= self._shadow.gateways or seconds - self._counted > GATEWAY_SECONDS:
            self._shadow.gateways, self._counted = max(self._least, there), seconds

    async def pay(self, wire: Wire) -> None:
        """Tell the store of calls that were admitted without it, until none is left."""
        while self._shadow.has_debts:
            debts = self._shadow.debts()
            await self._change(wire, "add", iter(debts))
            self._shadow.paid(debts)

    async def leave(self, wire: Wire) -> None:
        """Say that this gateway goes."""
        await wire.ask("ZREM", redis_keys.GATEWAYS, self._id)

    async def restore(self, wire: Wire, rows: Rows) -> None:
        """Raise the counters to what these rows say."""
        await self._raise(wire, _debts(rows))

    async def _restored(self, wire: Wire, run: str) -> str:
        """The epoch of this run of the server, once its memory is restored."""
        token = secrets.token_hex(8)
        while True:
            if await wire.ask("SET", redis_keys.OPENING, token, "NX", "PX", OPENING_SECONDS * 1000):
                epoch = _text(await wire.ask("GET", redis_keys.EPOCH))
                if epoch.startswith(f"{run}:"):  # another one was done just before our turn
                    await wire.ask("DEL", redis_keys.OPENING)
                    return epoch
                if await self._open(wire, run, token):
                    return f"{run}:{token}"
            else:
                await self._tell(wire)
            epoch = _text(await wire.ask("GET", redis_keys.EPOCH))
            if epoch.startswith(f"{run}:"):
                return epoch
            await asyncio.sleep(_POLL)

    async def _open(self, wire: Wire, run: str, token: str) -> bool:
        """Restore what the database has, wait for the others, set the epoch."""
        _log.warning("limits_store_restored")
        rows = await self._counts(self._clock())
        await self._raise(wire, _debts(rows))
        loaded = f"{token}:loaded"
        await wire.ask("SET", redis_keys.OPENING, loaded, "PX", OPENING_SECONDS * 1000)
        await self._tell(wire)
        deadline = self._clock() + TELLING_SECONDS
        while await wire.ask("SCARD", redis_keys.told(loaded)) < self._shadow.gateways:
            if self._clock() > deadline:
                break  # some are dead: what they answered is in the database
            await asyncio.sleep(_POLL)
        return bool(
            await self._run(
                wire,
                self._scripts.open,
                (redis_keys.OPENING, redis_keys.EPOCH),
                (loaded, f"{run}:{token}"),
            )
        )

    async def _tell(self, wire: Wire) -> None:
        """Raise the counters to what this gateway knows, once the database's part is in."""
        opening = _text(await wire.ask("GET", redis_keys.OPENING))
        if not opening.endswith(":loaded"):
            return
        if await wire.ask("SISMEMBER", redis_keys.told(opening), self._id):
            return
        debts = self._shadow.debts()
        await self._raise(wire, iter(self._shadow.told()))
        self._shadow.paid(debts)
        await wire.ask("SADD", redis_keys.told(opening), self._id)
        await wire.ask("EXPIRE", redis_keys.told(opening), 10 * OPENING_SECONDS)

    async def _raise(self, wire: Wire, debts: Iterator[Debt]) -> None:
        await self._change(wire, "raise", debts)

    async def _change(self, wire: Wire, how: str, debts: Iterator[Debt]) -> None:
        """Many counters, a chunk of them in one trip."""
        while chunk := list(islice(debts, _CHUNK)):
            await asyncio.gather(
                *(
                    self._run(
                        wire,
                        self._scripts.change,
                        (redis_keys.counter(debt.subject, debt.window),),
                        (width_of(debt.window), how, *self._buckets(debt)),
                    )
                    for debt in chunk
                )
            )

    def _buckets(self, debt: Debt) -> Iterator[int]:
        """Bucket and count in turns, by the store's clock: rather too late than too early."""
        width = width_of(debt.window)
        for bucket, count in debt.buckets:
            yield ((bucket + 1) * width - 1 + self._late) // width if self._late else bucket
            yield count

    async def _run(
        self, wire: Wire, script: Script, keys: Sequence[str], words: Sequence[str | int]
    ) -> Any:
        """Run a script by its digest, or with its text where it is not known."""
        try:
            return await wire.ask("EVALSHA", script.digest, len(keys), *keys, *words)
        except ReplyError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
            return await wire.ask("EVAL", script.text, len(keys), *keys, *words)


def _debts(rows: Rows) -> Iterator[Debt]:
    """Rows of the database by counter; they come in order of subject, window and bucket."""
    grouped: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for row in rows:
        pair = (int(row["bucket"]), int(row["count"]))
        grouped.setdefault((row["subject"], row["window"]), []).append(pair)
    for (subject, window), buckets in grouped.items():
        yield Debt(subject, Window(window), tuple(sorted(buckets, reverse=True)))


def fields(info: bytes) -> dict[str, str]:
    """What `INFO` answers."""
    lines = info.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode(errors="replace")

"""Limiter in Redis: exact for all gateways that share it, and careful while it is away."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import structlog

from gateway.limits.policy import Failure, Watcher
from gateway.limits.redis_ask import Ask, Lease, Plan, Plans, decisions_of, states_of
from gateway.limits.redis_keys import EPOCH, balance, counter_of
from gateway.limits.redis_leases import Leases
from gateway.limits.redis_script import Scripts, scripts
from gateway.limits.redis_shadow import Shadow, width_of
from gateway.limits.redis_wire import Reply, ReplyError, Wire, command
from gateway.limits.types import Charge, Decision, Limit, LimitState, LimitsUnavailableError

_log = structlog.get_logger(__name__)

ANSWER_SECONDS = 0.025  # longer than this no call waits for the store
GRACE_SECONDS = 0.003  # for answers that are here but not read: it may be us who were slow
FAILURES = 3  # in a row until no call is sent there any more
SETTLE_SECONDS = 3.0  # after a loss, until journals are in the database and prices can be had
REFUND_SECONDS = 60.0  # after a loss, refunds are of reservations nobody remembers
_REFUNDS_MAX = 10_000


class RedisLimiter:
    """Decisions by one script; see `redis_script`, and `redis_shadow` for those made alone."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        failure: Mapping[str, Failure] | None = None,
        watcher: Watcher | None = None,
        programs: Scripts | None = None,
        settle_seconds: float = SETTLE_SECONDS,
        lease: int = 0,
        patience: float = ANSWER_SECONDS,
    ) -> None:
        self._clock = clock
        self._patience = patience
        self._settle_seconds = settle_seconds
        self._leases = Leases(self._give_back, clock, lease)
        self._watcher = watcher
        self.scripts = programs or scripts()
        self.shadow = Shadow(clock, failure)
        self._plans = Plans(self.scripts.decide)
        self._loop = asyncio.get_running_loop()
        self._serving: Wire | None = None  # the wire while decisions may go over it
        self._asks: deque[Ask] = deque()  # undecided, in the order they are sent
        self._unsent: list[Ask] = []  # those of this turn of the loop
        self._joined: dict[Plan, Ask] = {}  # and who may be joined by more callers
        self._watch_handle: asyncio.TimerHandle | None = None
        self._is_graced = False
        self._failures = 0
        self.trouble = asyncio.Event()
        self._reason: str | None = "the store has not answered yet"
        self._refunds: list[Charge] = []
        self._prices_from = 0.0
        self._refunds_from = 0.0

    # --- what the call path asks ---

    def decide(
        self, limits: Sequence[Limit], charge: Charge | None = None
    ) -> Decision | asyncio.Future[Decision]:
        """Count the call in every window and reserve its price, or do nothing of it."""
        if not limits and charge is None:
            return _UNLIMITED
        if charge is None and (leased := self._leases.take(limits)) is not None:
            return leased
        wire = self._serving
        if wire is None or (charge is not None and self._loop.time() < self._prices_from):
            return self._alone_now(limits, charge)
        plan = self._plans.of(limits)
        ask = self._joined.get(plan) if charge is None else None
        if ask is None:
            ask = self._asked(plan, charge)
        future = self._loop.create_future()
        ask.futures.append(future)
        return future

    def _asked(self, plan: Plan, charge: Charge | None) -> Ask:
        """A new question; it leaves at the end of this turn of the loop."""
        ask = Ask(self, plan, charge, self._loop.time())
        if charge is None:
            self._joined[plan] = ask
        self._leases.want(ask)
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent.append(ask)
        self._asks.append(ask)
        if self._watch_handle is None:
            self._watch_handle = self._loop.call_later(self._patience, self._watch)
        return ask

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, []
        self._joined.clear()
        wire = self._serving
        for ask in unsent:
            if ask.is_late:
                continue
            if wire is None:
                self._finish_alone(ask)
            else:
                wire.send(ask.command(), ask)
        if wire is not None:
            wire.flush()

    async def admit(self, limits: Sequence[Limit], charge: Charge | None = None) -> Decision:
        """The same, awaited."""
        decided = self.decide(limits, charge)
        if isinstance(decided, Decision):
            return decided
        try:
            return await decided
        except asyncio.CancelledError:
            # decided in the very turn in which the caller went
            is_known = not decided.cancelled() and decided.exception() is None
            if charge is not None and is_known and decided.result().admitted:
                self.refund(charge)
            raise

    async def usage_of(self, limits: Sequence[Limit]) -> tuple[LimitState, ...]:
        """Where these limits stand, without counting a call."""
        if not limits:
            return ()
        wire = self._serving
        if wire is None:
            raise LimitsUnavailableError
        plan = self._plans.of(limits)
        try:
            reply = await wire.ask(*plan.look())
        except (OSError, TimeoutError, ReplyError) as error:
            raise LimitsUnavailableError from error
        if reply[0] == -1:
            raise LimitsUnavailableError
        return states_of(plan, reply)

    def refund(self, charge: Charge) -> None:
        """Give a reservation back that is not kept."""
        if self._loop.time() < self._refunds_from:
            return
        if self._serving is None:
            if len(self._refunds) < _REFUNDS_MAX:
                self._refunds.append(charge)
            return
        words = ("EVAL", self.scripts.refund.text, 1, balance(charge.account), charge.amount)
        self._serving.send(command(*words), _NOBODY)

    async def set_credit(self, account: str, granted: int, spent: int) -> None:
        """What an account was ever granted; and what it spent, where that is not known yet."""
        if self._serving is None:
            raise LimitsUnavailableError
        text = self.scripts.credit.text
        try:
            await self._serving.ask("EVAL", text, 1, balance(account), granted, spent)
        except (OSError, TimeoutError, ReplyError) as error:
            raise LimitsUnavailableError from error

    @property
    def patience(self) -> float:
        """Seconds within which the store has to answer."""
        return self._patience

    @property
    def serving(self) -> Wire | None:
        """The wire over which decisions go; None while they are made here."""
        return self._serving

    @property
    def degraded(self) -> str | None:
        """Why decisions are made without the store."""
        return self._reason

    # --- answers ---

    def answered(self, ask: Ask, reply: Reply) -> None:
        """The store's answer to one decision."""
        if not ask.is_late:
            self._asks.popleft()
        if type(reply) is not list:
            self._refused(ask, reply)
            return
        if not ask.is_late:
            self._failures = 0
        if reply[0] == -1:
            self.trip("flushed", "the store has lost its memory")
            self._finish_alone(ask)
            return
        states = states_of(ask.plan, reply)
        second = int(self._clock())
        for state in states:
            limit = state.limit
            self.shadow.learn(limit, limit.quantity - state.remaining, second)
        if ask.leased_at is not None:
            self._leases.answered(ask, reply, states, self._plans.epoch)
        unheard = 0  # calls that the store admitted and nobody waits for
        for future, decision in zip(
            ask.futures, decisions_of(reply, states, len(ask.futures)), strict=True
        ):
            if future.done():
                unheard += decision.admitted
            else:
                future.set_result(decision)
        if unheard:
            self._came_late(ask, unheard)

    def unanswered(self, ask: Ask) -> None:
        """The connection ended first."""
        self.trip("lost", "the store cannot be reached")
        self._finish_alone(ask)

    def _came_late(self, ask: Ask, calls: int) -> None:
        """Nobody waits: what the store counted is kept, or given back, never counted twice."""
        if ask.charge is not None:
            self.refund(ask.charge)
        for _ in range(min(calls, ask.admitted_alone)):
            self.shadow.forgive(ask.plan.limits)

    def _refused(self, ask: Ask, reply: Reply) -> None:
        """Not an answer of the script: it is sent again in full, or the store is unwell."""
        if str(reply).startswith("NOSCRIPT"):
            if ask.is_late or self._serving is None:
                return  # it was not executed, and nobody waits
            self._serving.send(ask.plan.command_in_full(ask.charge, len(ask.futures)), ask)
            self._asks.append(ask)
            return
        self.trip("refused", f"the store answers {str(reply).split()[0]}")
        self._finish_alone(ask)

    # --- alone ---

    def _alone_now(
        self, limits: Sequence[Limit], charge: Charge | None
    ) -> Decision | asyncio.Future[Decision]:
        try:
            return self._alone(limits, charge)
        except LimitsUnavailableError as error:
            future: asyncio.Future[Decision] = self._loop.create_future()
            future.set_exception(error)
            return future

    def _alone(self, limits: Sequence[Limit], charge: Charge | None) -> Decision:
        """Decide without the store; never over a price."""
        if charge is not None:
            raise LimitsUnavailableError
        decision = self.shadow.decide(limits)
        if self._watcher is not None:
            self._watcher.limits_alone(decision.admitted)
        return decision

    def _finish_alone(self, ask: Ask) -> None:
        for future in ask.futures:
            if future.done():
                continue
            try:
                decision = self._alone(ask.plan.limits, ask.charge)
            except LimitsUnavailableError as error:
                future.set_exception(error)
            else:
                ask.admitted_alone += decision.admitted
                future.set_result(decision)

    # --- the breaker ---

    def _watch(self) -> None:
        """Let nobody wait longer than they may."""
        self._watch_handle = None
        if not self._asks:
            self._is_graced = False
            return
        now = self._loop.time()
        left = self._asks[0].since + self._patience - now
        if left <= 0 and not self._is_graced:
            self._is_graced, left = True, GRACE_SECONDS
        elif left <= 0:
            self._is_graced = False
            self._overdue(now)
            left = self._asks[0].since + self._patience - now if self._asks else self._patience
        self._watch_handle = self._loop.call_later(max(left, 0.001), self._watch)

    def _overdue(self, now: float) -> None:
        self._failures += 1
        if self._watcher is not None:
            self._watcher.limits_failed("timeout")
        late, waiting = [], []
        while self._asks and self._asks[0].since + self._patience <= now:
            ask = self._asks.popleft()
            if self._failures < FAILURES and not self._is_decidable(ask):
                ask.since = now  # it would be refused now: another turn costs it nothing
                waiting.append(ask)
            else:
                ask.is_late = True
                late.append(ask)
        self._asks.extendleft(reversed(waiting))
        if self._failures >= FAILURES:
            self.trip("", "the store does not answer in time")
        for ask in late:
            self._finish_alone(ask)

    def _is_decidable(self, ask: Ask) -> bool:
        return ask.charge is None and self.shadow.may_decide(ask.plan.limits)

    def trip(self, failure: str, reason: str) -> None:
        """No call waits for this store until it has been joined again."""
        if self._serving is None:
            return
        self._serving = None
        self._leases.forget_asked()
        self._reason = reason
        self.shadow.is_informed = False
        _log.error("limits_store_away", reason=reason)
        if self._watcher is not None:
            if failure:
                self._watcher.limits_failed(failure)
            self._watcher.limits_degraded(True)
        while self._asks:
            ask = self._asks.popleft()
            ask.is_late = True
            self._finish_alone(ask)
        self.trouble.set()

    def open(self, wire: Wire, epoch: str) -> None:
        """Decisions go over it from now on. Nothing waits in here: no debt may come between."""
        self._plans.begin(epoch)
        self._failures = 0
        self.trouble.clear()
        wire.on_lost = self._disconnected
        self._serving, self._reason = wire, None
        if self._watcher is not None:
            self._watcher.limits_degraded(False)
        refunds, self._refunds = self._refunds, []
        for charge in refunds:
            self.refund(charge)

    def sweep(self) -> None:
        """Give back what was counted ahead and is not used in time."""
        self._leases.sweep()

    def stop(self) -> None:
        """No decision goes over the wire any more, because the gateway ends."""
        self._leases.sweep(everything=True)
        self._serving = None
        if self._watch_handle is not None:
            self._watch_handle.cancel()

    def lost_memory(self, *, is_first: bool) -> None:
        """Balances are gone with the rest: they wait for the database to have all of them."""
        now = self._loop.time()
        self._prices_from = now + self._settle_seconds
        if not is_first:  # then this gateway has reserved something before
            self._refunds_from = now + REFUND_SECONDS

    def _give_back(self, lease: Lease) -> None:
        """Take calls that were counted and never made out of the counters again."""
        if self._serving is None or lease.epoch != self._plans.epoch:
            return  # they stay counted: an error to the safe side
        for state, bucket in zip(lease.states, lease.buckets, strict=True):
            limit = state.limit
            words = (width_of(limit.window), "take", bucket, lease.left, lease.epoch)
            keys = (counter_of(limit), EPOCH)
            text = self.scripts.change.text
            self._serving.send(command("EVAL", text, len(keys), *keys, *words), _NOBODY)

    def _disconnected(self) -> None:
        self.trip("lost", "the store cannot be reached")


class _Nobody:
    """Takes answers that nobody waits for."""

    def take(self, reply: Reply) -> None:
        """Forget it."""

    def lost(self) -> None:
        """Forget it."""


_NOBODY = _Nobody()
_UNLIMITED = Decision(True, ())

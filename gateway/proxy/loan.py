"""A connection to a sandbox that shall answer, whatever that takes within the call's time."""

import asyncio
from typing import NamedTuple

from gateway.proxy.call import Call
from gateway.proxy.connection import Connection
from gateway.proxy.errors import (
    ApiDiedError,
    ClientGoneError,
    NoSlotError,
    NothingSentError,
)
from gateway.proxy.leases import Leases
from gateway.proxy.resolve import Target
from gateway.proxy.siblings import Fresh, Held

_ATTEMPTS = 6
_FIRST_PAUSE = 0.02  # doubled each time: the manager may not know yet that a sandbox died


class Loan:
    """One call's slot on a sandbox; give it back in any case."""

    __slots__ = ("_held", "_leases", "connection", "fresh")

    def __init__(
        self, leases: Leases, held: Held, connection: Connection, fresh: Fresh | None = None
    ) -> None:
        self._leases = leases
        self._held = held
        self.connection = connection
        self.fresh = fresh  # when this is the first call of a sandbox that was started

    def give_back(self) -> None:
        """The call is over."""
        self._held.upstream.give_back(self.connection)
        self._leases.left(self._held)

    def answered(self, at: float) -> None:
        """The answer began at this `time.perf_counter`; it tells how fast a start was."""
        if self.fresh is not None:
            self._leases.starts.first_byte(self.fresh.is_warm, at - self.fresh.ready_at)

    def overdue(self) -> None:
        """The call got no answer in time: the manager is to look at the sandbox."""
        self._leases.endings.overdue(self._held.sandbox_id)

    async def why_it_died(self) -> str:
        """For the caller; empty when that is not known at once."""
        return await self._leases.endings.why(self._held.spec.api_id, self._held.sandbox_id)


class UnderWay(NamedTuple):
    """A call that was handed over already, all of it."""

    loan: Loan
    body: bytes


def loan_at_once(leases: Leases, target: Target) -> Loan | None:
    """From a lease and a connection that are at hand; the warm path."""
    held = leases.at_once(target)
    if held is None:
        return None
    connection = held.upstream.at_once()
    if connection is None:
        return None
    held.in_flight += 1
    return Loan(leases, held, connection)


async def loan(leases: Leases, target: Target, deadline: float) -> Loan:
    """Start the sandbox, open a connection, or wait for a slot, until the deadline (loop time).

    When nobody listens behind a lease, nothing was sent and another one is taken.
    """
    try:
        async with asyncio.timeout_at(deadline):
            for attempt in range(_ATTEMPTS):
                try:
                    return await _attempt(leases, target)
                except NothingSentError:
                    await asyncio.sleep(_FIRST_PAUSE * 2**attempt)
    except TimeoutError as error:
        raise NoSlotError("No sandbox was free within the time that a call has.") from error
    raise ApiDiedError("Its sandbox ends as soon as it is started.")


async def loan_while_there(leases: Leases, target: Target, call: Call) -> Loan:
    """The same for a caller that may leave meanwhile, and makes room then: ClientGoneError."""
    waiting = asyncio.ensure_future(loan(leases, target, call.deadline))
    call.asked.when_gone(waiting.cancel)
    try:
        return await waiting
    except asyncio.CancelledError:
        if call.asked.is_gone and waiting.cancelled():
            raise ClientGoneError from None
        waiting.cancel()
        raise


async def _attempt(leases: Leases, target: Target) -> Loan:
    held = await leases.borrow(target)
    try:
        connection = await held.upstream.connection()
    except BaseException as error:
        if isinstance(error, NothingSentError):
            leases.drop(held)
        leases.left(held)
        raise
    fresh, held.fresh = held.fresh, None
    return Loan(leases, held, connection, fresh)

"""A connection to the sandbox that shall answer, whatever that takes within the call's time."""

import asyncio

from gateway.proxy.connection import Connection
from gateway.proxy.errors import ApiDiedError, ApiTimeoutError, NothingSentError
from gateway.proxy.leases import Held, Leases
from gateway.proxy.resolve import Target

_ATTEMPTS = 6
_FIRST_PAUSE = 0.02  # doubled each time: the manager may not know yet that a sandbox died


class Loan:
    """One call's slot on a sandbox; give it back in any case."""

    __slots__ = ("_held", "_leases", "connection")

    def __init__(self, leases: Leases, held: Held, connection: Connection) -> None:
        self._leases = leases
        self._held = held
        self.connection = connection

    def give_back(self) -> None:
        """The call is over."""
        self._held.upstream.give_back(self.connection)
        self._leases.left(self._held)


def loan_at_once(leases: Leases, target: Target) -> Loan | None:
    """From a lease and a connection that are at hand; the warm path."""
    held = leases.at_once(target.spec, is_pinned=target.is_pinned)
    if held is None:
        return None
    connection = held.upstream.at_once()
    if connection is None:
        return None
    leases.entered(held)
    return Loan(leases, held, connection)


async def loan(leases: Leases, target: Target, deadline: float) -> Loan:
    """Start the sandbox, open a connection, or wait for one, until the deadline (loop time).

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
        raise ApiTimeoutError("No sandbox was free within the time that a call has.") from error
    raise ApiDiedError("Its sandbox ends as soon as it is started.")


async def _attempt(leases: Leases, target: Target) -> Loan:
    held = await leases.borrow(target.spec, is_pinned=target.is_pinned)
    leases.entered(held)
    try:
        connection = await held.upstream.connection()
    except BaseException as error:
        leases.left(held)
        if isinstance(error, NothingSentError):
            leases.drop(held)
        raise
    return Loan(leases, held, connection)

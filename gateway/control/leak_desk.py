"""Who may sign reports of leaked keys, and how often everybody else has reported."""

import time

from gateway.auth.issuer.attempts import Allowance, Attempts, address_subject
from gateway.auth.issuer.errors import TooManyAttemptsError
from gateway.auth.reporters import Reporters
from gateway.operations.leaks import (
    UNSIGNED_REPORTS,
    UNSIGNED_SECONDS,
    TooManyReportsError,
    count_unsigned,
)
from gateway.operations.ports import Services


class LeakDesk:
    """Who may sign reports, and how often everybody else has reported.

    The database counts for all gateways. Each counts by itself first, so that a flood does not
    reach the database.
    """

    def __init__(self, reporters: Reporters | None = None) -> None:
        self.reporters = reporters or Reporters()
        self._attempts = Attempts(UNSIGNED_SECONDS, time.monotonic)

    async def count(self, services: Services, address: str | None) -> None:
        """One more unsigned report from there; TooManyReportsError for one too many."""
        origin = address_subject(address)
        try:
            self._attempts.take([Allowance(origin, UNSIGNED_REPORTS)])
        except TooManyAttemptsError as error:
            raise TooManyReportsError(error.seconds) from error
        await count_unsigned(services, origin)

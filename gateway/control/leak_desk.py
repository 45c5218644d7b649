"""Who may sign reports of leaked keys, and how often everybody else has reported."""

import time

from gateway.auth.issuer.attempts import Allowance, Attempts, address_subject
from gateway.auth.issuer.errors import TooManyAttemptsError
from gateway.auth.reporters import Reporters
from gateway.errors import SandgateError

UNSIGNED_REPORTS = 30  # of one address within _SECONDS
_SECONDS = 300.0


class TooManyReportsError(SandgateError):
    """One address reports more often than anybody finds keys."""

    status, code, title = 429, "too_many_reports", "Too many reports"


class LeakDesk:
    """Who may sign reports, and how often everybody else has reported."""

    def __init__(self, reporters: Reporters | None = None) -> None:
        self.reporters = reporters or Reporters()
        self._attempts = Attempts(_SECONDS, time.monotonic)

    def count(self, address: str | None) -> None:
        """One more unsigned report from there."""
        try:
            self._attempts.take([Allowance(address_subject(address), UNSIGNED_REPORTS)])
        except TooManyAttemptsError as error:
            raise TooManyReportsError(headers=error.headers) from error

"""The end of a call: recorded once, paid for or not, and counted."""

import time
from collections.abc import Callable
from typing import TypedDict

from gateway.errors import SandgateError
from gateway.limits.types import Limiter
from gateway.metering.billing import billable
from gateway.metering.recorder import Grant, Recorder, line_of
from gateway.proxy.call import Call

Observe = Callable[[int, str | None, float], None]


def observe_nothing(_status: int, _error_code: str | None, _seconds: float) -> None:
    """Nobody counts."""


class _Facts(TypedDict):
    request_id: str
    at: float
    version: int
    method: str
    path: str
    status_code: int
    error_code: str | None
    seconds: float
    request_bytes: int
    response_bytes: int
    charged: int


class Closing:
    """Ends calls. Nothing in here waits."""

    def __init__(self, recorder: Recorder, limiter: Limiter, observe: Observe) -> None:
        self._recorder = recorder
        self._limiter = limiter
        self._observe = observe

    def end(self, call: Call, error: SandgateError | None) -> bool:
        """Record the call if it was admitted, give back what is not paid for, and count it.

        False when a call that costs something could not be recorded.
        """
        if call.is_recorded:
            return True
        call.is_recorded = True
        seconds = time.perf_counter() - call.started
        if error is not None:
            call.status, call.error_code = error.status, error.code
        is_written = True
        if call.grant is not None:
            is_paid = False
            try:
                facts = self._facts(call, seconds)
                is_written = self._recorder.record(call.grant, **facts) or not facts["charged"]
                is_paid = bool(facts["charged"]) and is_written
            finally:
                self._settle(call, is_paid=is_paid)
        self._observe(call.status, call.error_code, seconds)
        return is_written

    def commit(self, call: Call, grant: Grant, done: Callable[[bool], None]) -> None:
        """The same for an answer that is whole, with the others of this turn of the loop.

        `done(False)` says that it costs something and could not be recorded.
        """
        seconds = time.perf_counter() - call.started
        if call.charge is None:  # nothing hangs on whether it can be recorded
            self._recorder.commit(self._line(call, grant, seconds, 0), lambda _ok: done(True))
            call.is_recorded = True  # not before: else nobody would record what failed here
            self._observe(call.status, call.error_code, seconds)
            return
        charge = call.charge
        charged = charge.amount if billable(call.status, call.error_code) else 0

        def written(ok: bool) -> None:
            self._settle(call, is_paid=bool(charged) and ok)
            self._observe(call.status, call.error_code, seconds)
            done(ok or not charged)

        self._recorder.commit(self._line(call, grant, seconds, charged), written)
        call.is_recorded = True

    def _line(self, call: Call, grant: Grant, seconds: float, charged: int) -> bytes:
        return line_of(
            grant, call.request_id, call.at, call.version, call.method,
            call.path.decode("latin-1"), call.status, call.error_code, seconds,
            call.request_bytes, call.response_bytes, charged,
        )  # fmt: skip

    def _settle(self, call: Call, *, is_paid: bool) -> None:
        charge, call.charge = call.charge, None
        if charge is not None and not is_paid:
            self._limiter.refund(charge)

    def _facts(self, call: Call, seconds: float) -> _Facts:
        charge = call.charge
        is_paid = charge is not None and billable(call.status, call.error_code)
        return {
            "request_id": call.request_id,
            "at": call.at,
            "version": call.version,
            "method": call.method,
            "path": call.path.decode("latin-1"),
            "status_code": call.status,
            "error_code": call.error_code,
            "seconds": seconds,
            "request_bytes": call.request_bytes,
            "response_bytes": call.response_bytes,
            "charged": charge.amount if charge is not None and is_paid else 0,
        }

"""What every answer of the call path says of itself: id, times, and the state of the gateway."""

import time
from collections.abc import Callable

from gateway.proxy.call import Call
from gateway.proxy.headers import Field


class Stamp:
    """`generation` is the number of the last change that this gateway has taken in."""

    def __init__(self, generation: Callable[[], int]) -> None:
        self._generation = generation

    def lines(self, call: Call) -> bytes:
        """The fields as they go out."""
        now = time.perf_counter()
        return (
            b"x-request-id: %b\r\nx-process-time: %.6f\r\nserver-timing: %b\r\n"
            b"x-sandgate-generation: %d\r\n"
            % (call.request_id.encode(), now - call.started, timing(call, now), self._generation())
        )

    def fields(self, call: Call) -> list[Field]:
        """The same, one by one."""
        lines = self.lines(call).split(b"\r\n")[:-1]
        pairs = [line.partition(b": ") for line in lines]
        return [(name, value) for name, _, value in pairs]


def timing(call: Call, now: float) -> bytes:
    """Server-Timing, in milliseconds: until admitted, until handed over, until answered."""
    if not call.admitted_at:
        return b"admit;dur=%.3f" % ((now - call.started) * 1e3)
    handed = call.handed_at or now
    admit = (call.admitted_at - call.started) * 1e3
    return b"admit;dur=%.3f, queue;dur=%.3f, app;dur=%.3f" % (
        admit,
        (handed - call.admitted_at) * 1e3,
        (now - handed) * 1e3,
    )

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
        """The fields as they go out.

        Server-Timing is in milliseconds: until admitted, until handed over, until answered.
        """
        now, began, admitted = time.perf_counter(), call.started, call.admitted_at
        if not admitted:
            timing = b"admit;dur=%.3f" % ((now - began) * 1e3)
        else:
            handed = call.handed_at or now
            timing = b"admit;dur=%.3f, queue;dur=%.3f, app;dur=%.3f" % (
                (admitted - began) * 1e3,
                (handed - admitted) * 1e3,
                (now - handed) * 1e3,
            )
        return (
            b"x-request-id: %b\r\nx-process-time: %.6f\r\nserver-timing: %b\r\n"
            b"x-sandgate-generation: %d\r\n"
            % (call.request_id.encode(), now - began, timing, self._generation())
        )

    def fields(self, call: Call) -> list[Field]:
        """The same, one by one."""
        lines = self.lines(call).split(b"\r\n")[:-1]
        pairs = [line.partition(b": ") for line in lines]
        return [(name, value) for name, _, value in pairs]

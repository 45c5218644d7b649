"""The recorder writes exactly what a call record says."""

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.types import Limit, Window
from gateway.metering.journal import Journal
from gateway.metering.recorder import MAX_PATH, Grant, Recorder
from gateway.metering.segments import parse
from tests.support.records import CallRecord

LIMITS = (Limit("tenant:t", Window.HOUR, 5), Limit("key:k", Window.MINUTE, 1))


class Lines(Journal):
    """A journal that keeps its lines in memory."""

    def __init__(self) -> None:
        super().__init__(Path("/nonexistent"), segment_seconds=1)
        self.lines: list[bytes] = []

    def append(self, line: bytes) -> bool:
        """Keep it."""
        self.lines.append(line)
        return True


@given(
    path=st.text(max_size=600),
    at=st.floats(min_value=0, max_value=4e9),
    seconds=st.floats(min_value=0, max_value=4000),
    error=st.none() | st.text(max_size=20),
    size=st.integers(min_value=0, max_value=2**50),
)
def test_the_line_says_the_same_as_the_call_record(
    path: str, at: float, seconds: float, error: str | None, size: int
) -> None:
    """It is only made faster; and whoever drains accepts it."""
    journal = Lines()
    Recorder(journal).record(
        Grant("api", "tenant", "caller", "key", LIMITS),
        request_id="r" * 32,
        at=at,
        version=3,
        method="GET",
        path=path,
        status_code=200,
        error_code=error,
        seconds=seconds,
        request_bytes=size,
        response_bytes=size,
    )
    record = CallRecord(
        request_id="r" * 32,
        at=at,
        api_id="api",
        tenant_id="tenant",
        caller_tenant_id="caller",
        key_id="key",
        version=3,
        method="GET",
        path=path[:MAX_PATH],
        status_code=200,
        error_code=error,
        response_time_us=int(seconds * 1e6),
        request_size_bytes=size,
        response_size_bytes=size,
        limits=(("tenant:t", "hour"), ("key:k", "minute")),
    )
    (line,) = journal.lines
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == json.loads(record.to_line())
    assert parse(line) is not None


def test_a_call_without_limits_has_an_empty_list() -> None:
    """Not a missing one."""
    assert Grant("a", "t", "c", "k", ()).counted == "[]"

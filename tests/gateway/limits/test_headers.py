"""Header fields of a decision."""

from gateway.limits.headers import rate_headers
from gateway.limits.types import Decision, Limit, LimitState, Window

NOW = 1_800_000_000.9
HOUR = Limit("tenant:t", Window.HOUR, 100)
MINUTE = Limit("key:k", Window.MINUTE, 10)


def fields(decision: Decision) -> dict[str, str]:
    headers = rate_headers(decision, lambda: NOW)
    found = {name.decode(): value.decode() for name, value in headers}
    assert len(found) == len(headers)
    return found


def test_unlimited_has_no_headers() -> None:
    assert rate_headers(Decision(True, ())) == []


def test_an_admitted_call_shows_the_tightest_window_and_lists_all() -> None:
    decision = Decision(True, (LimitState(HOUR, 42, 1800), LimitState(MINUTE, 9, 60)))
    assert fields(decision) == {
        "x-ratelimit-limit": "10",
        "x-ratelimit-remaining": "9",
        "x-ratelimit-reset": "1800000060",
        "ratelimit-policy": '"tenant-hour";q=100;w=3600, "key-minute";q=10;w=60',
        "ratelimit": '"tenant-hour";r=42;t=1800, "key-minute";r=9;t=60',
    }


def test_a_rejected_call_shows_the_violated_window_that_takes_longest() -> None:
    spent = LimitState(HOUR, 0, 1800), LimitState(MINUTE, 0, 5)
    found = fields(Decision(False, spent, spent))
    assert found["retry-after"] == "1800"
    assert found["x-ratelimit-limit"] == "100"
    assert found["x-ratelimit-remaining"] == "0"
    assert found["x-ratelimit-reset"] == "1800001800"


def test_the_last_admitted_call_has_no_retry_after() -> None:
    assert "retry-after" not in fields(Decision(True, (LimitState(HOUR, 0, 1800),)))

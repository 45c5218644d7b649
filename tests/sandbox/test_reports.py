"""Errors of ours go to whom the operator names, without secrets, and cost nothing when he is away.

Against a local server that speaks the envelope protocol.
"""

import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.reports import Address, Cap, Reporter, open_reporter
from sandbox.types import USER_CODE, EndReason
from tests.support.envelope_server import Envelopes, envelope_server

SECRET = "sg_live_Zq7Xw9Kp2Lm4Nv8Rt6Yb3Hc5"
IDS = {
    "request_id": "r" * 32, "trace_id": "t" * 32, "tenant_id": "tenant-1", "api_id": "api-1",
    "key_id": "key-1",
}  # fmt: skip


@pytest.fixture
def envelopes() -> Iterator[Envelopes]:
    with envelope_server() as taken:
        yield taken


def fails() -> Exception:
    """As raised somewhere that holds a secret."""
    secret = SECRET
    try:
        raise ValueError(f"the key {secret} was refused")
    except ValueError as error:
        return error


def line(**fields: Any) -> dict[str, Any]:
    return {"event": "call_failed", "level": "error", "exc_info": fails(), **fields}


def test_an_error_of_ours_arrives_with_ids_release_and_environment(envelopes: Envelopes) -> None:
    with open_reporter("gateway", envelopes.dsn(), None, "staging") as reporter:
        reporter(None, "error", line(**IDS, path="/api/apis"))
    (event,) = envelopes.wait()
    assert event["to"] == "/api/1/envelope/"
    assert IDS.items() <= event["tags"].items()
    assert (event["tags"]["process"], event["tags"]["event"]) == ("gateway", "call_failed")
    assert (event["environment"], event["release"][:9]) == ("staging", "sandgate@")
    assert (event["exception"]["values"][0]["type"], event["level"]) == ("ValueError", "error")
    assert event["extra"]["path"] == "/api/apis"


def test_no_secret_no_local_variable_and_no_request_is_in_it(envelopes: Envelopes) -> None:
    headers = {"Authorization": f"Bearer {SECRET}", "Cookie": f"session={SECRET}"}
    with open_reporter("gateway", envelopes.dsn(), None, "production") as reporter:
        reporter(None, "error", line(headers=headers, password=SECRET, url=f"/x?token={SECRET}"))
    (event,) = envelopes.wait()
    assert SECRET not in "".join(envelopes.raw)
    assert "was refused" in event["exception"]["values"][0]["value"]
    frames = event["exception"]["values"][0]["stacktrace"]["frames"]
    assert frames
    assert [frame for frame in frames if frame.get("vars")] == []
    assert not {"request", "user", "breadcrumbs", "modules"} & {k for k, v in event.items() if v}


def test_errors_of_user_code_are_kept_apart(envelopes: Envelopes) -> None:
    crash = {"event": "sandbox_ended", "level": "info", **EndReason.CRASH.log_context()}
    with open_reporter("manager", envelopes.dsn(1), envelopes.dsn(2), "development") as reporter:
        reporter(None, "info", dict(crash))
        reporter(None, "error", line())
    assert sorted(event["to"][:6] for event in envelopes.wait(2)) == ["/api/1", "/api/2"]
    by_project = {event["to"][:6]: event["tags"]["event"] for event in envelopes.events}
    assert by_project == {"/api/1": "call_failed", "/api/2": "sandbox_ended"}


def test_errors_of_user_code_go_nowhere_unless_somebody_is_named(envelopes: Envelopes) -> None:
    with open_reporter("manager", envelopes.dsn(), None, "development") as reporter:
        reporter(None, "error", line(fault=USER_CODE))
        reporter(None, "error", line(event="ours"))
    assert [event["tags"]["event"] for event in envelopes.wait()] == ["ours"]


@pytest.mark.parametrize("end", [EndReason.STOPPED, EndReason.IDLE, EndReason.EVICTED])
def test_an_end_that_was_wanted_is_nobodys_fault(end: EndReason) -> None:
    assert end.log_context() == {"end": str(end)}


def test_warnings_are_no_reports(envelopes: Envelopes) -> None:
    with open_reporter("worker", envelopes.dsn(), None, "development") as reporter:
        reporter(None, "warning", line(level="warning"))
        reporter(None, "critical", line(level="critical"))
    assert [event["level"] for event in envelopes.wait()] == ["fatal"]


def test_what_ends_the_process_is_reported(envelopes: Envelopes) -> None:
    with (
        pytest.raises(ValueError, match="refused"),
        open_reporter("worker", envelopes.dsn(), None, "development"),
    ):
        raise fails()
    assert envelopes.wait()[0]["tags"]["event"] == "process_failed"


def test_a_flood_is_capped_and_what_was_dropped_is_told(envelopes: Envelopes) -> None:
    now = [0.0]
    address = Address(envelopes.dsn(), "development", "gateway", lambda: now[0])
    with Reporter(address) as reporter:
        for _ in range(500):
            reporter(None, "error", line())
        now[0] = 61.0
        reporter(None, "error", line())
    assert [event["extra"] for event in envelopes.wait(6)] == [{}] * 5 + [{"reports_dropped": 495}]


def test_one_kind_leaves_room_for_others_and_all_have_an_end() -> None:
    cap = Cap(lambda: 1.0)
    taken = [kind for kind in ["a"] * 100 + ["b", "c"] if cap.takes(kind)]
    assert taken == ["a"] * 5 + ["b", "c"]
    assert sum(cap.takes(f"kind {number}") for number in range(10_000)) == 23


def test_a_service_that_hangs_holds_nobody_up(envelopes: Envelopes) -> None:
    """Handing over returns while the server answers nothing; ending waits a moment at most."""
    envelopes.hangs = True
    with open_reporter("gateway", envelopes.dsn(), None, "development") as reporter:
        for number in range(200):
            reporter(None, "error", line(event=f"kind_{number}"))
        assert envelopes.events == []


def test_a_service_that_is_not_there_costs_nothing() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        dsn = f"http://publickey@127.0.0.1:{taken.getsockname()[1]}/1"
        with open_reporter("gateway", dsn, dsn, "development") as reporter:
            reporter(None, "error", line())
            reporter(None, "error", line(event="again"))


def test_a_failure_to_report_is_not_reported(envelopes: Envelopes) -> None:
    with open_reporter("gateway", envelopes.dsn(), None, "development") as reporter:
        reporter(None, "error", line(logger="sentry_sdk.errors"))
        reporter(None, "error", line(event="ours"))
    assert [event["tags"]["event"] for event in envelopes.wait()] == ["ours"]


def test_the_line_goes_on_as_it_came(envelopes: Envelopes) -> None:
    with open_reporter("gateway", envelopes.dsn(), None, "development") as reporter:
        given = line(password="x", **IDS)
        assert reporter(None, "error", dict(given)) == given


PROCESS = """
import sys
from sandbox import log
import structlog
assert "sentry_sdk" not in sys.modules
with log.configure("door"):
    structlog.get_logger("x").error("relayed_call_failed", api_id="api-1", password="hunter2")
    print("sentry_sdk" in sys.modules)
    assert len(sys.argv) == 1
    raise RuntimeError("over")
"""


@pytest.mark.parametrize("has_address", [True, False])
def test_manager_and_door_take_the_address_from_the_environment(
    envelopes: Envelopes,
    has_address: bool,
) -> None:
    """And import the client for nobody else."""
    environment = {"SENTRY_DSN": envelopes.dsn(), "ENVIRONMENT": "staging"} if has_address else {}
    ended = subprocess.run(
        [sys.executable, "-c", PROCESS],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout == f"{has_address}\n"
    assert '"password": "[redacted]"' in ended.stderr
    assert '"process": "door"' in ended.stderr
    if has_address:
        names = [event["tags"]["event"] for event in envelopes.wait(2)]
        assert names == ["relayed_call_failed", "process_failed"]
        assert "hunter2" not in "".join(envelopes.raw)

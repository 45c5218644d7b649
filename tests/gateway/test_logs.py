"""The lines that the gateway and the worker write: JSON, with ids, without secrets."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from gateway.logs import configure, note
from gateway.reporting import report_environment, reporting
from gateway.settings import Settings
from tests.support.envelope_server import envelope_server

SECRET = "sg_live_Zq7Xw9Kp2Lm4Nv8Rt6Yb3Hc5"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Logging is the process's own: what a test changes is put back."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_has_its_ids_and_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    configure("gateway")
    log = structlog.get_logger("x")
    with structlog.contextvars.bound_contextvars(request_id="r", trace_id="t"):
        note(tenant_id="tenant", api_id="api", key_id="k")
        log.warning("key_refused", key=SECRET, text=f"Bearer {SECRET}", nested={"password": "p"})
    (line,) = lines(capsys)
    assert line.pop("timestamp")
    assert line == {
        "event": "key_refused", "level": "warning", "logger": "x", "process": "gateway",
        "request_id": "r", "trace_id": "t", "tenant_id": "tenant", "api_id": "api", "key_id": "k",
        "key": "[redacted]", "text": "Bearer [redacted]", "nested": {"password": "[redacted]"},
    }  # fmt: skip


def test_lines_of_libraries_have_the_same_shape(capsys: pytest.CaptureFixture[str]) -> None:
    configure("worker")
    logging.getLogger("some.library").error("sent %s", f"password={SECRET}")
    (line,) = lines(capsys)
    assert (line["event"], line["process"]) == ("sent password=[redacted]", "worker")


def test_a_traceback_is_one_line_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    configure("gateway")
    try:
        raise ValueError(f"refused {SECRET}\nand more")
    except ValueError:
        structlog.get_logger("x").exception("call_failed")
    (line,) = lines(capsys)
    assert "ValueError: refused [redacted]\nand more" in line["exception"]


def test_nobody_writes_a_line_of_his_own(capsys: pytest.CaptureFixture[str]) -> None:
    configure("gateway")
    forged = 'x\n{"event": "admin_created"}\ud800\x00'
    structlog.get_logger("x").info("request_answered", path=forged)
    (line,) = lines(capsys)
    assert line["event"] == "request_answered"


def test_addresses_of_requests_that_we_send_are_no_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure("gateway")
    logging.getLogger("httpx").info("HTTP Request: GET https://example/?token=1")
    assert lines(capsys) == []


def test_errors_are_reported_where_the_settings_say(capsys: pytest.CaptureFixture[str]) -> None:
    with envelope_server() as envelopes:
        settings = Settings(sentry_dsn=SecretStr(envelopes.dsn()), environment="staging")
        with reporting("worker", settings):
            structlog.get_logger("x").error("housekeeping_failed", tenant_id="tenant")
            logging.getLogger("asyncio").error("never retrieved")
        ours, library = envelopes.wait(2)
    assert ours["tags"] == {
        "process": "worker", "event": "housekeeping_failed", "tenant_id": "tenant",
    }  # fmt: skip
    assert (library["logger"], ours["environment"]) == ("asyncio", "staging")
    assert len(lines(capsys)) == 2


def test_only_where_errors_go_is_told_to_manager_and_door() -> None:
    assert report_environment(Settings()) == {}
    dsn = "https://k@errors.example/1"
    assert report_environment(Settings(sentry_user_errors=SecretStr(dsn))) == {
        "SENTRY_USER_ERRORS": dsn, "ENVIRONMENT": "development",
    }  # fmt: skip


@pytest.mark.parametrize(
    "wrong", ["", "x", "https://example/1", "https://k@example", "ftp://k@e/1"]
)
def test_an_address_that_is_none_is_an_error_at_the_start(wrong: str) -> None:
    with pytest.raises(ValueError, match="must look like"):
        Settings(sentry_dsn=SecretStr(wrong))

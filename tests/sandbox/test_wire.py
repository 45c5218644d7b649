"""Requests and answers as they cross the socket."""

from typing import Any

import pytest

from sandbox import wire
from sandbox.types import (
    Bundle,
    CapacityError,
    Lease,
    LogLine,
    ManagerStatus,
    ManagerUnavailableError,
    SandboxStatus,
    StartFailedError,
    StartFailure,
    Tier,
)
from tests.support.managing import spec

SPEC = spec().to_json()
BUNDLE = Bundle("x").to_json()


def with_resource(name: str, value: Any) -> dict[str, Any]:
    return {**SPEC, "resources": {**SPEC["resources"], name: value}}


@pytest.mark.parametrize(
    "message",
    [
        {"op": "launch"},
        {"op": ["acquire"]},
        {},
        {"op": "acquire", "spec": SPEC},
        {"op": "acquire", "spec": SPEC, "bundle": BUNDLE, "mounts": ["/"]},
        {"op": "acquire", "spec": SPEC, "bundle": 5},
        {"op": "acquire", "spec": {**SPEC, "privileged": True}, "bundle": BUNDLE},
        {"op": "acquire", "spec": {**SPEC, "api_id": ""}, "bundle": BUNDLE},
        {"op": "acquire", "spec": {**SPEC, "generation": True}, "bundle": BUNDLE},
        {"op": "acquire", "spec": with_resource("memory_mb", 10**9), "bundle": BUNDLE},
        {"op": "acquire", "spec": with_resource("cpus", float("nan")), "bundle": BUNDLE},
        {"op": "acquire", "spec": with_resource("pids", "128"), "bundle": BUNDLE},
        {"op": "acquire", "spec": None, "bundle": BUNDLE},
        {"op": "renew", "sandbox_ids": "abc"},
        {"op": "renew", "sandbox_ids": [1]},
        {"op": "logs", "api_id": "a", "tail": -1},
        {"op": "status", "verbose": True},
    ],
)
def test_what_is_not_a_typed_request_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(wire.BadRequestError):
        wire.parse_request({"id": 1, **message})


def test_acquire_is_parsed() -> None:
    request = wire.parse_request({"id": 1, "op": "acquire", "spec": SPEC, "bundle": BUNDLE})
    assert request == wire.Acquire(spec(), Bundle("x"))


def test_answers_survive_the_way() -> None:
    lease = Lease("id", "/s", 5.0, "fake", Tier.RUNC)
    status = ManagerStatus(
        "docker", Tier.RUNC, True, "ok", ("io",), (SandboxStatus("a", spec(), "ready", 1.0),)
    )
    lines = [LogLine(1.0, "stdout", "x")]
    assert wire.lease_from(wire.lease_json(lease)) == lease
    assert wire.lease_from(wire.lease_json(None)) is None
    assert wire.status_from(wire.status_json(status)) == status
    assert wire.logs_from(wire.logs_json(lines)) == lines


def test_a_start_failure_survives_the_way() -> None:
    error = StartFailedError(StartFailure.SYNTAX, "no", line=3, traceback="t", log="l")
    back = wire.error_from(wire.error_json(error))
    assert isinstance(back, StartFailedError)
    assert vars(back) == vars(error)


@pytest.mark.parametrize("error", [CapacityError("full"), ManagerUnavailableError("away")])
def test_other_errors_survive_the_way(error: CapacityError) -> None:
    back = wire.error_from(wire.error_json(error))
    assert (type(back), str(back)) == (type(error), str(error))

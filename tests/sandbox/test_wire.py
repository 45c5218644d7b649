"""Requests and answers as they cross the socket."""

from typing import Any

import pytest

from sandbox import wire
from sandbox.types import Bundle, EgressPolicy, Placeholder
from tests.support.managing import spec

SPEC = spec().to_json()
BUNDLE = Bundle("x").to_json()


def with_resource(name: str, value: Any) -> dict[str, Any]:
    return {**SPEC, "resources": {**SPEC["resources"], name: value}}


def with_environment(environment: dict[str, Any]) -> dict[str, Any]:
    return {**BUNDLE, "environment": environment}


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
        {"op": "overdue"},
        {"op": "lock", "requirements": "httpx"},
        {"op": "lock", "requirements": ["x"] * 101},
        {"op": "set_egress", "api_id": "a", "policy": {"hosts": []}},
        {"op": "set_egress", "api_id": "a", "policy": {"hosts": [""], "placeholders": {}}},
        {"op": "set_egress", "api_id": "a", "policy": {"hosts": ["h"] * 101, "placeholders": {}}},
        {"op": "acquire", "spec": SPEC, "bundle": {**BUNDLE, "files": {}}},
        {"op": "acquire", "spec": SPEC, "bundle": {**BUNDLE, "lock": None}},
        {"op": "acquire", "spec": SPEC, "bundle": with_environment({"A": 5})},
        {"op": "acquire", "spec": SPEC, "bundle": with_environment({"A=B": "x"})},
        {"op": "acquire", "spec": SPEC, "bundle": with_environment({"": "x"})},
        {"op": "acquire", "spec": SPEC, "bundle": with_environment({"9A": "x"})},
        {"op": "acquire", "spec": SPEC, "bundle": with_environment({"A" * 129: "x"})},
        {"op": "acquire", "spec": SPEC, "bundle": with_environment({"A": "x\0y"})},
        {"op": "acquire", "spec": SPEC, "bundle": with_environment({"A": "x" * 65_536})},
        {
            "op": "acquire",
            "spec": SPEC,
            "bundle": with_environment({f"A{n}": "" for n in range(129)}),
        },
        {"op": "acquire", "spec": {**SPEC, "floor": "paper"}, "bundle": BUNDLE},
    ],
)
def test_what_is_not_a_typed_request_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(wire.BadRequestError):
        wire.parse_request({"id": 1, **message})


def test_acquire_is_parsed() -> None:
    request = wire.parse_request({"id": 1, "op": "acquire", "spec": SPEC, "bundle": BUNDLE})
    assert request == wire.Acquire(spec(), Bundle("x"))


def test_a_full_bundle_is_parsed() -> None:
    bundle = Bundle(
        "x",
        {"TOKEN": "secret"},
        EgressPolicy(("a.example", "*.b.example:8443"), {"ph": Placeholder("v", ("a.example",))}),
        "lock",
    )
    message = {"id": 1, "op": "acquire", "spec": SPEC, "bundle": bundle.to_json()}
    assert wire.parse_request(message) == wire.Acquire(spec(), bundle)


def test_a_refusal_never_repeats_a_secret() -> None:
    secret = "hunter2\0"
    bundle = with_environment({"TOKEN": secret})
    with pytest.raises(wire.BadRequestError) as refused:
        wire.parse_request({"id": 1, "op": "acquire", "spec": SPEC, "bundle": bundle})
    assert "hunter2" not in str(refused.value)

"""The order to start is checked field by field; an older manager's order still works."""

from typing import Any

import pytest

from sandbox.runner.task import MAX_ENVIRONMENT, MAX_VALUE, Limits, Task, TaskError

OLD = {
    "type": "specialise",
    "api_id": "a",
    "version_id": "v",
    "filename": "app.py",
    "code": "x = 1",
    "seconds": 10,
}


def test_an_order_of_five_fields_has_defaults_for_the_rest() -> None:
    task = Task.from_message(OLD)
    assert (task.code, task.seconds, task.listener) == ("x = 1", 10.0, "descriptor")
    assert not task.egress
    assert not task.layer
    assert dict(task.environment) == {}
    assert task.limits == Limits(0, 0, 0)


def test_everything_is_taken_over() -> None:
    task = Task.from_message(
        OLD
        | {
            "environment": {"_KEY1": "wörd\nline"},
            "egress": True,
            "ca": "PEM",
            "layer": True,
            "resources": {"memory_mb": 256, "cpus": 1.0, "pids": 64, "tmp_mb": 32},
            "call_cpu_seconds": 15,
            "redact": ["secret"],
            "listener": "dial",
            "of a newer manager": 1,
        }
    )
    assert dict(task.environment) == {"_KEY1": "wörd\nline"}
    assert (task.egress, task.ca, task.layer, task.listener) == (True, "PEM", True, "dial")
    assert task.limits == Limits(256, 64, 32)
    assert (task.call_cpu_seconds, task.redact) == (15.0, ("secret",))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("environment", {"A=B": "x"}),
        ("environment", {"": "x"}),
        ("environment", {"1A": "x"}),
        ("environment", {"É": "x"}),
        ("environment", {"A\n": "x"}),
        ("environment", {"A" * 200: "x"}),
        ("environment", {"A": "x\0y"}),
        ("environment", {"A": "\ud800"}),
        ("environment", {"A": 5}),
        ("environment", {"A": "x" * (MAX_VALUE + 1)}),
        ("environment", {f"A{n}": "x" * 60_000 for n in range(MAX_ENVIRONMENT // 60_000 + 1)}),
        ("environment", {f"A{n}": "" for n in range(1000)}),
        ("environment", ["A"]),
        ("seconds", -1),
        ("seconds", "nan"),
        ("call_cpu_seconds", float("inf")),
        ("resources", {"memory_mb": -1}),
        ("resources", 5),
        ("redact", ["x"] * 1000),
        ("listener", "carrier pigeon"),
    ],
)
def test_what_cannot_be_obeyed_is_refused(field: str, value: Any) -> None:
    with pytest.raises(TaskError):
        Task.from_message(OLD | {field: value})


def test_a_missing_field_is_refused() -> None:
    with pytest.raises(TaskError):
        Task.from_message({"type": "specialise"})


def test_values_are_neither_in_the_error_nor_in_the_repr() -> None:
    with pytest.raises(TaskError) as caught:
        Task.from_message(OLD | {"environment": {"KEY": "hush-hush\0"}})
    assert "KEY" in str(caught.value)
    assert "hush" not in str(caught.value)
    assert "hush" not in repr(Task.from_message(OLD | {"environment": {"KEY": "hush"}}))

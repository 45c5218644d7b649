"""What may be asked for."""

import pytest

from gateway.errors import SandgateError
from gateway.operations import inputs


def refused(check: object, *arguments: object) -> tuple[int, str]:
    """Status and code of the refusal."""
    assert callable(check)
    with pytest.raises(SandgateError) as caught:
        check(*arguments)
    return caught.value.status, caught.value.code


@pytest.mark.parametrize("name", ["", "   ", "x" * 81, "a\0b", "a\nb", "\u202eevil", "\ud800"])
def test_name_nobody_can_read_is_422(name: str) -> None:
    assert refused(inputs.checked_name, name) == (422, "invalid_name")


def test_name_loses_the_space_around_it() -> None:
    assert inputs.checked_name("  Cat facts ✓ ") == "Cat facts ✓"


def test_description_may_have_lines_but_no_control_characters() -> None:
    assert inputs.checked_description("one\n\ttwo") == "one\n\ttwo"
    assert refused(inputs.checked_description, "a\x07b") == (422, "invalid_text")
    assert refused(inputs.checked_description, "x" * 2001) == (422, "invalid_text")


@pytest.mark.parametrize("code", ["", " \n", "a\0b", "'\ud800'"])
def test_code_that_is_no_text_file_is_422(code: str) -> None:
    assert refused(inputs.checked_code, code, 100) == (422, "invalid_code")


def test_code_is_measured_in_bytes() -> None:
    assert inputs.checked_code("#" + "x" * 99, 100) == b"#" + b"x" * 99
    assert refused(inputs.checked_code, "é" * 51, 100) == (413, "code_too_large")
    assert refused(inputs.checked_code, "x" * 101, 100) == (413, "code_too_large")


@pytest.mark.parametrize(
    "limits", [{"hour": 0}, {"hour": -1}, {"hour": 1.5}, {"hour": "9"}, {"week": 1}, {"hour": True}]
)
def test_limits_of_zero_or_less_are_422(limits: dict[str, object]) -> None:
    assert refused(inputs.checked_limits, limits) == (422, "invalid_limits")


def test_null_is_unlimited() -> None:
    assert inputs.checked_limits({"hour": None, "day": 5}) == {"hour": None, "day": 5}


@pytest.mark.parametrize(
    "resources",
    [
        {"memory_mb": 63},
        {"memory_mb": 1025},
        {"cpus": 0.05},
        {"cpus": float("nan")},
        {"pids": 513},
        {"tmp_mb": 0},
        {"gpus": 1},
    ],
)
def test_resources_out_of_bounds_are_422(resources: dict[str, float]) -> None:
    assert refused(inputs.checked_resources, resources) == (422, "invalid_resources")


def test_absent_resources_are_the_defaults() -> None:
    resources = inputs.resources_of(inputs.checked_resources({"memory_mb": 512}))
    assert (resources.memory_mb, resources.cpus, resources.pids) == (512, 1.0, 128)


@pytest.mark.parametrize("status", ["suspended", "draft", "", "ACTIVE"])
def test_owner_can_set_no_other_status(status: str) -> None:
    assert refused(inputs.checked_status, status) == (422, "invalid_status")

"""Putting limits together, and refusing malformed ones."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from gateway.auth.verified import VerifiedKey
from gateway.limits.plan import InvalidLimitsError, limits_of, parse_limits
from gateway.limits.types import Limit, Window

KEY = VerifiedKey(
    key_id="k",
    tenant_id="t",
    tenant_status="active",
    plan="free",
    plan_limits={"hour": 100},
    tenant_limits={},
    limits={},
    api_ids=frozenset({"a"}),
    expires_at=None,
    is_revoked=False,
)


def test_the_plan_limits_the_tenant_of_the_key() -> None:
    assert limits_of(KEY, "a", {}) == (Limit("tenant:t", Window.HOUR, 100),)


def test_the_tenant_replaces_its_plan_window_by_window() -> None:
    key = replace(KEY, plan_limits={"hour": 100, "day": 900}, tenant_limits={"hour": 5})
    assert limits_of(key, "a", {}) == (
        Limit("tenant:t", Window.HOUR, 5),
        Limit("tenant:t", Window.DAY, 900),
    )


def test_null_is_unlimited_also_over_a_plan() -> None:
    key = replace(KEY, tenant_limits={"hour": None}, limits={"minute": None})
    assert limits_of(key, "a", {"day": None}) == ()


def test_api_and_key_add_windows_of_their_own() -> None:
    key = replace(KEY, limits={"minute": 3})
    assert limits_of(key, "a", {"minute": 7, "day": 8}) == (
        Limit("tenant:t", Window.HOUR, 100),
        Limit("api:a", Window.MINUTE, 7),
        Limit("api:a", Window.DAY, 8),
        Limit("key:k", Window.MINUTE, 3),
    )


@pytest.mark.parametrize(
    "value",
    [{}, {"hour": 1}, {"minute": None}, {"minute": 1, "hour": 2, "day": 1_000_000_000}],
)
def test_good_limits_are_taken_as_they_are(value: Mapping[str, int | None]) -> None:
    assert parse_limits(value) == value


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"hour": 0}, "limits.hour"),
        ({"hour": -1}, "limits.hour"),
        ({"day": 1.5}, "limits.day"),
        ({"day": True}, "limits.day"),
        ({"day": "9"}, "limits.day"),
        ({"minute": []}, "limits.minute"),
        ({"minute": 10**30}, "limits.minute"),
        ({"week": 3}, "limits.week"),
        ({"HOUR": 3}, "limits.HOUR"),
        ({3: 3}, "limits.3"),
        ([], "limits"),
        ("hour", "limits"),
        (None, "limits"),
    ],
)
def test_bad_limits_are_refused_by_field(value: object, field: str) -> None:
    with pytest.raises(InvalidLimitsError) as caught:
        parse_limits(value)
    assert caught.value.status == 422
    assert field in caught.value.detail
    errors = caught.value.extra["errors"]
    assert isinstance(errors, list)
    assert [error["field"] for error in errors] == [field]


def test_every_bad_field_is_named() -> None:
    with pytest.raises(InvalidLimitsError) as caught:
        parse_limits({"hour": 0, "day": 5, "week": 1})
    assert "limits.hour" in caught.value.detail
    assert "limits.week" in caught.value.detail
    assert "limits.day" not in caught.value.detail

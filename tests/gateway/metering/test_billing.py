"""What is paid for: the table of `docs/metering.md`, row by row."""

import pytest

from gateway.metering.billing import billable

PAID = [
    (200, None),
    (206, None),
    (301, None),
    (304, None),
    (101, None),  # a WebSocket, at its upgrade
    (400, None),  # the app's own refusals are answers
    (404, None),
    (429, None),
    (499, "client_gone"),  # the caller's choice
]
FREE = [
    (500, None),  # the app failed
    (503, None),
    (502, "api_died"),
    (502, "api_bad_response"),
    (200, "api_died"),  # broken off in the middle
    (504, "api_timeout"),
    (503, "queue_full"),
    (503, "gateway_stopped"),
    (413, "body_too_large"),
    (408, "upload_too_slow"),
    (500, "internal_error"),
    (503, "metering_unavailable"),
]


@pytest.mark.parametrize(("status", "code"), PAID)
def test_it_is_paid_for(status: int, code: str | None) -> None:
    assert billable(status, code)


@pytest.mark.parametrize(("status", "code"), FREE)
def test_it_is_free(status: int, code: str | None) -> None:
    assert not billable(status, code)

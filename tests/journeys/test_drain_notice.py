"""A gateway that is about to end says so first: balancers leave while calls still succeed."""

import signal

import httpx

from tests.journeys import apps
from tests.support.engines import require
from tests.support.installation import Installation, installation
from tests.support.waiting import until_blocking

NOTICE_SECONDS = "12"  # the busiest machine gets a look and some calls done meanwhile


def ready(made: Installation) -> httpx.Response:
    """What a balancer is told, on a connection of its own."""
    return httpx.get(f"{made.url}/ready", timeout=60, trust_env=False)


def test_ready_says_so_while_calls_on_old_and_new_connections_succeed() -> None:
    """Then it ends by itself, and with success."""
    require("bubblewrap")
    with installation(SANDBOX_RUNTIME="bubblewrap", DRAIN_NOTICE_SECONDS=NOTICE_SECONDS) as made:
        api = made.deploy("leaving", apps.USER_APP)
        with made.client(**{"X-API-Key": api["api_key"]}) as old:
            assert old.get(f"/{api['id']}").status_code == 200
            assert ready(made).status_code == 200
            made.tell(signal.SIGTERM)
            until_blocking(lambda: ready(made).status_code == 503)
            assert "about to end" in ready(made).text
            for _ in range(3):
                answer = old.get(f"/{api['id']}")
                assert answer.status_code == 200
                assert answer.headers.get("connection") != "close"
            with made.client(**{"X-API-Key": api["api_key"]}) as new:
                assert new.get(f"/{api['id']}").status_code == 200
            assert ready(made).status_code == 503
        until_blocking(lambda: not made.running, 60)
        assert made.stop() == 0

"""Tiers, instances and freezing as an owner meets them, on each runtime."""

import asyncio

from tests.journeys.callers import at_once, crowd
from tests.support.deployed import Deployed, deployed
from tests.support.engines import require
from tests.support.installation import Installation, installation
from tests.support.waiting import until_blocking

COUNTS = """import asyncio

from fastapi import FastAPI

app = FastAPI()
seen = 0


@app.get("/")
async def root() -> int:
    global seen
    seen += 1
    return seen


@app.get("/slow")
async def slow() -> str:
    await asyncio.sleep(0.5)
    return "done"
"""
TIERS = {"bubblewrap": "bwrap", "docker": "runc"}


def test_its_tier_is_told(made: Installation) -> None:
    with deployed(made, "tier", COUNTS) as api:
        api.ask()
        assert {one["tier"] for one in api.sandboxes()} == {TIERS[made.runtime]}
    with made.client() as client:
        tiers = {each["tier"]: each for each in client.get("/ready").json()["tiers"]}
    assert tiers[TIERS[made.runtime]]["is_available"]
    assert not tiers["vm"]["is_available"]
    assert tiers["vm"]["detail"]


def test_a_tier_that_is_not_there_is_an_error_and_never_replaced(made: Installation) -> None:
    with made.admin() as owner:
        body = {"name": "vm only", "code": COUNTS, "tier": "vm"}
        answer = owner.post("/api/apis", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "tier_unavailable")


def test_several_instances_share_slow_calls(made: Installation) -> None:
    instances = {"min": 0, "max": 3, "concurrency": 4}
    with deployed(made, "wide", COUNTS, instances=instances) as api:

        async def call() -> dict[int, int]:
            async with crowd(made.url, api.key) as client:
                return dict((await at_once(client, f"/{api.id}/slow", 60)).statuses)

        assert asyncio.run(call()) == {200: 60}
        ready = [one for one in api.sandboxes() if one["status"] == "ready"]
        assert len(ready) == 3


def until_frozen(api: Deployed) -> None:
    """Wait until its only sandbox takes no processor time any more."""
    until_blocking(lambda: api.sandboxes()[0]["status"] == "frozen", 20)


def test_a_quiet_sandbox_is_frozen_and_goes_on_where_it_was() -> None:
    for runtime in TIERS:
        require(runtime)
        with (
            installation(SANDBOX_RUNTIME=runtime, SANDBOX_LEASE_SECONDS="1") as made,
            deployed(made, "quiet", COUNTS) as api,
        ):
            assert api.ask() == 1
            until_frozen(api)
            assert api.ask() == 2


def test_a_kept_instance_is_there_before_the_first_call(made: Installation) -> None:
    instances = {"min": 2, "max": 2, "concurrency": 10}
    with deployed(made, "kept", COUNTS, instances=instances) as api:
        until_blocking(lambda: len([s for s in api.sandboxes() if s["status"] == "ready"]) == 2, 20)

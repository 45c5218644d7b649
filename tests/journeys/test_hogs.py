"""Code that takes too much of something: it is ended with its reason, and others go on."""

from collections.abc import Iterator

import pytest

from tests.journeys import apps
from tests.support.deployed import Deployed, deployed
from tests.support.engines import require
from tests.support.installation import Installation, installation
from tests.support.waiting import until_blocking

CODE = """import os
import threading
import time

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def root() -> str:
    return "fine"


@app.get("/spin")
async def spin() -> None:
    while True:
        pass


@app.get("/spin-in-thread")
def spin_in_thread() -> None:
    while True:
        pass


@app.get("/sleep-in-thread")
def sleep_in_thread() -> None:
    time.sleep(3600)


@app.get("/eat")
async def eat() -> int:
    held = []
    while True:
        held.append(bytearray(4_000_000))


@app.get("/die")
async def die() -> None:
    os._exit(3)
"""


@pytest.fixture(
    scope="module",
    params=[
        "bubblewrap",
        "docker",
    ],
)
def hasty(request: pytest.FixtureRequest) -> Iterator[Installation]:
    """An installation in which a call has six seconds, and one of them on the CPU."""
    require(request.param)
    with installation(
        SANDBOX_RUNTIME=request.param, CALL_DEADLINE_SECONDS="6", CALL_CPU_SECONDS="1"
    ) as running:
        yield running


@pytest.fixture
def hog(hasty: Installation, request: pytest.FixtureRequest) -> Iterator[Deployed]:
    """The offender."""
    with deployed(hasty, f"hog {request.node.name}"[:70], CODE) as one:
        yield one


@pytest.fixture
def neighbour(hasty: Installation, request: pytest.FixtureRequest) -> Iterator[Deployed]:
    """Somebody who has nothing to do with it."""
    with deployed(hasty, f"next to {request.node.name}"[:70], apps.USER_APP) as one:
        yield one


@pytest.mark.parametrize("path", ["/spin", "/spin-in-thread"])
def test_a_spin_is_ended_for_its_cpu_time_and_others_get_a_fresh_sandbox(
    hog: Deployed, neighbour: Deployed, path: str
) -> None:
    assert hog.call(path).status_code in (502, 504)
    assert neighbour.call().status_code == 200
    assert hog.until_ended("cpu")["reason"]
    assert hog.ask() == "fine"
    hog.until_logged("processor time")


def test_a_thread_that_sleeps_past_the_deadline_is_ended(hog: Deployed) -> None:
    assert hog.problem("/sleep-in-thread") == (504, "api_timeout")
    assert "deadline" in hog.until_ended("deadline")["reason"]
    assert hog.ask() == "fine"


def test_all_memory_is_the_offenders_own_trouble(hog: Deployed, neighbour: Deployed) -> None:
    assert hog.problem("/eat") == (502, "api_died")
    assert neighbour.call().status_code == 200
    assert hog.until_ended("memory")["reason"]
    assert hog.ask() == "fine"


def test_a_crash_is_told_with_how_it_ended(hog: Deployed) -> None:
    assert hog.problem("/die") == (502, "api_died")
    assert "3" in hog.until_ended("crash")["reason"]
    hog.until_logged("exited with code 3")


DIES_SOON = """import os
import threading

from fastapi import FastAPI

app = FastAPI()
threading.Timer(0.2, lambda: os._exit(1)).start()


@app.get("/")
async def root() -> str:
    return "new"
"""


def test_a_new_version_that_keeps_crashing_is_rolled_back_by_itself(hasty: Installation) -> None:
    with deployed(hasty, "reverted", CODE) as one:
        one.send("POST", "/versions", 201, json={"code": DIES_SOON})

        def is_old_again() -> bool:
            answer = one.call()
            return answer.status_code == 200 and answer.json() == "fine"

        until_blocking(is_old_again, 30)
        active = [
            d for d in one.send("GET", "/deployments", 200)["items"] if d["status"] == "active"
        ]
        assert [each["version"] for each in active] == [1]
        assert [one.ask() for _ in range(20)] == ["fine"] * 20


def test_a_version_that_was_always_there_and_crashes_is_left_alone_for_a_while(
    hasty: Installation,
) -> None:
    with deployed(hasty, "loops", DIES_SOON) as one:

        def is_refused() -> bool:
            answer = one.call()
            return answer.status_code == 503 and answer.json()["code"] == "api_crash_loop"

        until_blocking(is_refused, 30)
        answer = one.call()
        assert int(answer.headers["retry-after"]) >= 1

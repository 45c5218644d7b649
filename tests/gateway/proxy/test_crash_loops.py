"""Versions that cannot run, and what their callers get instead."""

import asyncio

import pytest

from gateway.store.routes import ActiveVersion, Instances, Route
from sandbox.types import (
    CapacityError,
    CrashLoopError,
    DependencyError,
    EndReason,
    SandboxError,
    SandboxSpec,
    StartFailedError,
    StartFailure,
    TierUnavailableError,
)
from tests.support.datapath import DataPath
from tests.support.rawhttp import never, serve_forever
from tests.support.waiting import until

LOOP = CrashLoopError("killed by\nthe kernel", end=EndReason.MEMORY, crashes=5, retry_seconds=7.2)
BROKEN = StartFailedError(StartFailure.EXCEPTION, "boom")


def serve_two(path: DataPath, error: SandboxError) -> tuple[Route, str]:
    """Version 2 answers and cannot run; version 1 takes its place when it is reported."""
    route, key = path.serve(serve_forever)
    old = route.versions[0]
    crashing = ActiveVersion(f"{route.api_id}-2", 2, 100)
    path.sandboxes.start_fails[crashing.version_id] = error
    route = path.change(route, versions=(crashing,))

    def replaces(spec: SandboxSpec) -> bool:
        path.change(route, versions=(old,))
        return spec.version_id == crashing.version_id

    path.replaces = replaces
    return route, key


async def test_a_crash_loop_is_503_with_its_reason_and_the_time_to_wait(path: DataPath) -> None:
    """In words for callers; the manager's own text is for the owner."""
    route, key = path.serve(serve_forever)
    path.sandboxes.start_fails[0] = LOOP
    answer = await path.call(f"/{route.api_id}", key)
    assert (answer.status, answer.json()["code"]) == (503, "api_crash_loop")
    assert answer.header(b"retry-after") == b"8"
    assert answer.json()["detail"] == (
        "It ended 5 times in a row, last because of: memory. The next start is in 8 seconds."
    )
    ((spec, reason),) = path.crashed
    assert spec.version_id == route.versions[0].version_id
    assert reason == "memory: killed by\nthe kernel"


@pytest.mark.parametrize("error", [LOOP, BROKEN], ids=["crash loop", "does not start"])
async def test_the_calls_that_met_it_are_served_by_the_old_version(
    path: DataPath, error: SandboxError
) -> None:
    """All of them, bodies included, and it is reported once."""
    route, key = serve_two(path, error)
    calls = [path.call(f"/{route.api_id}", key, method="POST", body=b"x" * n) for n in range(40)]
    answers = await asyncio.gather(*calls)
    assert {answer.status for answer in answers} == {200}
    assert len(path.crashed) == 1
    assert {record["version"] for record in path.records()} == {1}


async def test_a_pinned_call_gets_the_version_it_named_or_nothing(path: DataPath) -> None:
    """Also when another one serves everybody else now."""
    route, key = serve_two(path, LOOP)
    answer = await path.call(f"/{route.api_id}@2", key)
    assert (answer.status, answer.json()["code"]) == (503, "api_crash_loop")
    assert (await path.call(f"/{route.api_id}", key)).status == 200


async def test_when_the_old_version_cannot_run_either_its_failure_is_told(path: DataPath) -> None:
    """A call is led elsewhere once."""
    route, key = serve_two(path, LOOP)
    path.sandboxes.start_fails[path.store.pins[(route.api_id, 1)].version_id] = BROKEN
    answer = await path.call(f"/{route.api_id}", key)
    assert (answer.status, answer.json()["code"]) == (502, "api_start_failed")
    assert [reason for _, reason in path.crashed] == [
        "memory: killed by\nthe kernel",
        "exception: boom",
    ]


async def test_a_route_that_did_not_change_is_not_asked_twice(path: DataPath) -> None:
    """Whoever says that it did."""
    route, key = path.serve(serve_forever)
    path.sandboxes.start_fails[0] = LOOP
    path.replaces = lambda _spec: True
    answer = await path.call(f"/{route.api_id}", key)
    assert (answer.status, answer.json()["code"]) == (503, "api_crash_loop")


async def test_it_is_reported_once_in_a_while(path: DataPath) -> None:
    """Not by every call that comes."""
    route, key = path.serve(serve_forever)
    path.sandboxes.start_fails[0] = LOOP
    for _ in range(5):
        assert (await path.call(f"/{route.api_id}", key)).status == 503
    assert len(path.crashed) == 1


def twice(retry_seconds: float) -> CrashLoopError:
    """What the manager says after two bad ends."""
    return CrashLoopError("twice", end=EndReason.CRASH, crashes=2, retry_seconds=retry_seconds)


async def test_two_bad_ends_are_not_a_loop_yet(path: DataPath) -> None:
    """The pause after them is short, so that calls wait for it; all in one start."""
    route, key = path.serve(serve_forever)
    path.sandboxes.start_fails[0] = twice(1.0)
    calls = [asyncio.create_task(path.call(f"/{route.api_id}", key)) for _ in range(20)]
    await until(lambda: len(path.sandboxes.started) == 1 and path.leases.waiting == 20)
    del path.sandboxes.start_fails[0]
    assert {(await call).status for call in calls} == {200}
    assert len(path.sandboxes.started) == 2


@pytest.mark.parametrize(("seconds", "starts"), [(0.0, 2), (60.0, 1)])
async def test_a_pause_that_is_long_or_comes_again_is_not_waited_for(
    path: DataPath, seconds: float, starts: int
) -> None:
    """The version stays all the same."""
    route, key = path.serve(serve_forever)
    path.sandboxes.start_fails[0] = twice(seconds)
    answer = await path.call(f"/{route.api_id}", key)
    assert (answer.status, answer.json()["code"]) == (503, "api_crash_loop")
    assert answer.header(b"retry-after") == str(max(1, int(seconds))).encode()
    assert len(path.sandboxes.started) == starts
    assert path.crashed == []


async def test_a_further_one_that_does_not_start_takes_nothing_back(path: DataPath) -> None:
    """The version runs, as the first one shows."""
    route, key = path.serve(never, instances=Instances(0, 2, 1))
    path.sandboxes.start_fails[1] = BROKEN
    first, second = (asyncio.create_task(path.call(f"/{route.api_id}", key)) for _ in range(2))
    await until(lambda: len(path.sandboxes.started) == 2)
    path.sandboxes.handlers[route.versions[0].version_id] = serve_forever
    await path.sandboxes.kill(path.sandboxes.started[0])
    statuses = [(await first).status, (await second).status]
    assert 200 in statuses  # who was in the dead one got 502, unless it had not been read yet
    assert path.crashed == []


@pytest.mark.parametrize(
    ("error", "code", "retry", "detail"),
    [
        (TierUnavailableError("vm is missing"), "tier_unavailable", b"60", "as strong as"),
        (DependencyError("no such wheel"), "dependencies_unavailable", b"30", "packages"),
        (CapacityError("50 of 50 sandboxes"), "no_capacity", b"5", "50 of 50 sandboxes"),
        (SandboxError("?"), "sandboxes_unavailable", b"5", ""),
    ],
)
async def test_what_is_not_the_codes_fault_is_503(
    path: DataPath, error: SandboxError, code: str, retry: bytes, detail: str
) -> None:
    """Each with a code of its own; nothing is taken back for it."""
    route, key = path.serve(serve_forever)
    path.sandboxes.start_fails[0] = error
    answer = await path.call(f"/{route.api_id}", key)
    assert (answer.status, answer.json()["code"]) == (503, code)
    assert answer.header(b"retry-after") == retry
    assert detail in answer.json()["detail"]
    assert path.crashed == []


async def test_an_error_nobody_foresaw_is_500_for_those_who_wait(path: DataPath) -> None:
    """And the next call starts anew."""
    route, key = path.serve(serve_forever)
    handler = path.sandboxes.handlers.pop(route.versions[0].version_id)
    answers = await asyncio.gather(*(path.call(f"/{route.api_id}", key) for _ in range(5)))
    assert {answer.status for answer in answers} == {500}
    path.sandboxes.handlers[route.versions[0].version_id] = handler
    assert (await path.call(f"/{route.api_id}", key)).status == 200

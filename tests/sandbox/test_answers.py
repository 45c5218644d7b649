"""Answers and errors as they cross the socket: nothing is lost on the way."""

import pytest

from sandbox import answers
from sandbox.types import (
    CapacityError,
    CrashLoopError,
    DependencyError,
    EndReason,
    Lease,
    Lock,
    LogLine,
    ManagerStatus,
    ManagerUnavailableError,
    PoolStatus,
    SandboxError,
    SandboxStatus,
    StartFailedError,
    StartFailure,
    StartTimes,
    Tier,
    TierStatus,
    TierUnavailableError,
)
from tests.support.managing import spec

ENDED = SandboxStatus(
    "b", spec(), "ended", 9.0, Tier.GVISOR, end=EndReason.MEMORY, reason="it used 300 MB"
)
STATUS = ManagerStatus(
    "docker",
    Tier.RUNC,
    True,
    "ok",
    ("io",),
    (SandboxStatus("a", spec(), "ready", 1.0, Tier.RUNC, 5), ENDED),
    (TierStatus(Tier.GVISOR, "docker", False, "no runsc", ("x",)),),
    PoolStatus(1, 2, 3, 4, {"memory": 1}),
)


def test_leases_survive_the_way() -> None:
    times = StartTimes(0.1, 0.2, 0.3, 0.4, is_warm=True)
    for lease in (
        Lease("id", "/s", 5.0, "fake", Tier.RUNC, times),
        Lease("id", "/s", 5.0, "fake", Tier.BWRAP),
        None,
    ):
        assert answers.lease_from(answers.lease_json(lease)) == lease


def test_statuses_lines_and_locks_survive_the_way() -> None:
    lines = [LogLine(1.0, "egress", "x")]
    lock = Lock("sha256", "a==1 --hash", ("a==1",))
    assert answers.status_from(answers.status_json(STATUS)) == STATUS
    assert answers.sandboxes_from(answers.sandboxes_json([ENDED])) == [ENDED]
    assert answers.logs_from(answers.logs_json(lines)) == lines
    assert answers.lock_from(answers.lock_json(lock)) == lock


@pytest.mark.parametrize(
    "error",
    [
        StartFailedError(StartFailure.SYNTAX, "no", line=3, traceback="t", log="l"),
        CrashLoopError("again", end=EndReason.CPU, crashes=4, retry_seconds=8.0),
        DependencyError("no such package", detail="resolver said"),
        CapacityError("full"),
        TierUnavailableError("no gvisor"),
        ManagerUnavailableError("away"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_error_survives_the_way(error: SandboxError) -> None:
    back = answers.error_from(answers.error_json(error))
    assert type(back) is type(error)
    assert (str(back), vars(back)) == (str(error), vars(error))

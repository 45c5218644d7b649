"""Remounting in somebody else's mount namespace; the rest is seen from inside by the probes."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.runtimes import mounts

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may enter a namespace")


@pytest.fixture
def sleeper() -> Iterator[int]:
    """A process in a mount namespace of its own."""
    command = ["unshare", "--mount", "--fork", "sleep", "60"]
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            yield process.pid
        finally:
            os.killpg(process.pid, 9)


def own_mounts() -> list[str]:
    """Those of this process that nobody else changes while tests run."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if line.split()[4] in ("/", "/proc", "/tmp", "/dev/shm")]


async def test_a_process_that_is_gone_is_an_error() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    with pytest.raises(OSError, match=r"."):
        await mounts.remount(process.pid, {"/tmp": "size=4096"}, last="/proc")


async def test_mounts_that_never_come_are_not_waited_for_for_ever(
    sleeper: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "SECONDS", 0.05)
    with pytest.raises(TimeoutError, match="/no-such-place"):
        await mounts.remount(sleeper, {}, last="/no-such-place")


async def test_what_is_no_mount_cannot_be_remounted_and_ours_are_untouched(sleeper: int) -> None:
    before = own_mounts()
    own = os.readlink("/proc/self/ns/mnt")
    with pytest.raises(OSError, match=r"."):
        await mounts.remount(sleeper, {"/no-such-place": "size=4096"}, last="/proc")
    assert os.readlink("/proc/self/ns/mnt") == own
    assert own_mounts() == before


async def test_a_sandbox_that_still_has_its_old_root_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outcomes: list[OSError | None] = [FileNotFoundError(), FileNotFoundError(), None]

    async def attempt(_pid: int, _options: object) -> OSError | None:
        return outcomes.pop(0)

    monkeypatch.setattr(mounts, "_attempt", attempt)
    await mounts.remount(os.getpid(), {}, last="/")
    assert outcomes == []


async def test_any_other_refusal_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def attempt(_pid: int, _options: object) -> OSError | None:
        return PermissionError("no")

    monkeypatch.setattr(mounts, "_attempt", attempt)
    with pytest.raises(PermissionError):
        await mounts.remount(os.getpid(), {}, last="/")

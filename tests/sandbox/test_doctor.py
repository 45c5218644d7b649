"""What the doctor says of a machine."""

from pathlib import Path

from sandbox.doctor import examine
from sandbox.doctor_report import (
    Check,
    judge_any,
    judge_disk,
    judge_limits,
    judge_namespaces,
    judge_tiers,
    render,
)
from sandbox.types import Tier, TierStatus

GOOD = Check("a", True, "fine")
BAD = Check("b", False, "gone", "install it")


def test_each_check_is_one_line_and_trouble_comes_with_what_to_do() -> None:
    checks = [Check("disk", True, "9 MB"), Check("docker", False, "no engine", "start it")]
    assert render(checks).splitlines() == [
        "ok       disk    9 MB",
        "missing  docker  no engine",
        "                 -> start it",
    ]


def test_what_is_not_needed_is_only_a_pity() -> None:
    assert render([Check("x", False, "no", needed=False)]) == "degraded x  no"


def test_nothing_to_say_is_said_with_nothing() -> None:
    assert render([]) == ""


def test_with_auto_one_runtime_is_enough() -> None:
    docker, bubblewrap = judge_any(GOOD, BAD, "auto")
    assert not bubblewrap.needed
    assert docker.needed


def test_with_auto_and_none_both_are_needed() -> None:
    assert all(check.needed for check in judge_any(BAD, BAD, "auto"))


def test_a_named_runtime_is_needed_whatever_else_is_there() -> None:
    bubblewrap, docker = judge_any(GOOD, BAD, "bubblewrap")[::-1]
    assert bubblewrap.needed
    assert not docker.needed


def test_a_full_disk_and_a_closed_one_are_told() -> None:
    assert judge_disk(5000, True, "/d").ok
    assert not judge_disk(5, True, "/d").ok
    assert "cannot be written" in judge_disk(5000, False, "/d").detail


def test_missing_limits_are_named() -> None:
    assert "cpu limit" in judge_limits(2, ("cpu limit",), needed=False).detail
    assert judge_limits(2, (), needed=True).ok


def test_user_namespaces_matter_only_without_root() -> None:
    assert judge_namespaces(0, by_root=True).ok
    assert not judge_namespaces(0, by_root=False).ok


TIERS = [
    TierStatus(Tier.GVISOR, "gvisor", False, "apt-get install runsc"),
    TierStatus(Tier.RUNC, "docker", True, "engine 1", ("swap limit",)),
    TierStatus(Tier.BWRAP, "bubblewrap", True, "/usr/bin/bwrap"),
]


def test_every_tier_has_a_row_with_what_it_lacks_or_what_to_do() -> None:
    assert render(judge_tiers(TIERS)).splitlines() == [
        "degraded tier gvisor  not available",
        "                      -> apt-get install runsc",
        "ok       tier runc    docker, without swap limit",
        "ok       tier bwrap   bubblewrap, complete",
    ]


def test_a_floor_that_is_reached_needs_no_other_tier() -> None:
    assert not any(check.needed for check in judge_tiers(TIERS, Tier.RUNC))


def test_a_floor_that_nothing_reaches_is_needed() -> None:
    needed = {check.name for check in judge_tiers(TIERS, Tier.GVISOR) if check.needed}
    assert needed == {"tier gvisor"}


async def test_a_real_machine_is_examined_without_making_anything(tmp_path: Path) -> None:
    checks = await examine(tmp_path / "data")
    assert {"tier vm", "tier gvisor", "tier runc", "tier bwrap"} <= {c.name for c in checks}
    assert {"docker", "bubblewrap", "kernel", "packages", "disk"} <= {c.name for c in checks}
    assert list(tmp_path.iterdir()) == []

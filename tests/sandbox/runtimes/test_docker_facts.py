"""What an engine says about itself, turned into what is missing."""

from typing import Any

from sandbox.runtimes.docker_facts import facts_of, missing_of
from sandbox.runtimes.docker_spec import EngineFacts

GOOD: dict[str, Any] = {
    "CgroupVersion": "2",
    "SecurityOptions": ["name=apparmor", "name=seccomp,profile=default"],
    "MemoryLimit": True,
    "SwapLimit": True,
    "PidsLimit": True,
    "CpuCfsQuota": True,
}


def test_a_complete_engine_misses_nothing() -> None:
    assert missing_of(GOOD) == ()
    assert facts_of(GOOD) == EngineFacts(cgroup_version=2, remaps_users=False)


def test_limits_that_do_not_work_are_named() -> None:
    assert missing_of(GOOD | {"SwapLimit": False, "PidsLimit": False}) == (
        "swap limit",
        "process limit",
    )


def test_an_engine_without_seccomp_is_named() -> None:
    assert missing_of(GOOD | {"SecurityOptions": None}) == ("system call filter",)


def test_a_rootless_engine_shares_one_user() -> None:
    info = GOOD | {"SecurityOptions": ["name=seccomp,profile=default", "name=rootless"]}
    assert missing_of(info) == ("own user for each sandbox",)
    assert facts_of(info).remaps_users


def test_old_control_groups_are_recognised() -> None:
    assert facts_of(GOOD | {"CgroupVersion": "1"}).cgroup_version == 1

"""What bubblewrap is started with, compared whole: a piece of wall that is lost shows here."""

from pathlib import Path

import pytest

from sandbox.runtimes.bubblewrap_args import (
    Descriptors,
    Identity,
    arguments,
    command,
    parse_process_name,
    process_limits,
    process_name,
)
from sandbox.types import Resources

RESOURCES = Resources(memory_mb=100, cpus=1, pids=50, tmp_mb=10)
MB = 1024 * 1024
ROOT = Identity(uid=70000, by_root=True)
USER = Identity(uid=65534, by_root=False)
COMMON = """
--as-pid-1 --new-session --die-with-parent --hostname sandbox --clearenv
--setenv HOME /tmp --setenv LANG C.UTF-8 --setenv LOGNAME sandbox
--setenv MALLOC_ARENA_MAX 2 --setenv PATH /python/bin --setenv USER sandbox
--ro-bind /data/root /
--proc /proc
--ro-bind /dev/null /proc/kcore
--size 4096 --tmpfs /proc/acpi --remount-ro /proc/acpi
--dev /dev --perms 1777 --size 8388608 --tmpfs /dev/shm --remount-ro /dev
--perms 1777 --size 10485760 --tmpfs /tmp
--ro-bind /run/ctl/s1 /ctl --chdir /
--info-fd 7 --block-fd 8 --seccomp 9
"""
EACH = "--unshare-ipc --unshare-pid --unshare-net --unshare-uts --unshare-cgroup-try"


def options(identity: Identity, seccomp: int | None = 9, layer: Path | None = None) -> list[str]:
    return arguments(
        root=Path("/data/root"),
        control_dir=Path("/run/ctl/s1"),
        layer=layer,
        resources=RESOURCES,
        identity=identity,
        descriptors=Descriptors(info=7, block=8, seccomp=seccomp),
        hidden=frozenset({"/proc/kcore", "/proc/acpi"}),
    )


def test_started_by_root_there_is_no_user_namespace_and_two_capabilities_to_give_root_up() -> None:
    own = "--cap-drop ALL --cap-add CAP_SETUID --cap-add CAP_SETGID"
    assert options(ROOT) == f"{EACH} {own} {COMMON}".split()


def test_started_by_a_user_there_is_a_user_namespace_that_is_the_last_one() -> None:
    own = "--unshare-user --uid 65534 --gid 65534 --disable-userns --cap-drop ALL"
    assert options(USER) == f"{EACH} {own} {COMMON}".split()


def test_an_old_bubblewrap_is_not_asked_for_what_it_does_not_know() -> None:
    assert "--disable-userns" not in options(Identity(65534, False, can_disable_userns=False))


def test_without_a_filter_none_is_announced() -> None:
    assert "--seccomp" not in options(ROOT, seccomp=None)


def test_installed_packages_appear_read_only() -> None:
    given = " ".join(options(ROOT, layer=Path("/data/layers/abc")))
    assert "--ro-bind /run/ctl/s1 /ctl --ro-bind /data/layers/abc /layer --chdir /" in given


def test_the_runner_is_told_whom_to_become_only_when_it_starts_as_root() -> None:
    runner = "/python/bin/python3 -I -m runner --control /ctl/control.sock --orphan-seconds 0"
    assert command(USER) == runner.split()
    assert command(USER, is_awaited=True) == f"{runner} --practise no".split()
    assert command(ROOT) == f"{runner} --uid 70000 --gid 70000".split()


def test_a_process_name_tells_whose_it_is() -> None:
    assert parse_process_name(process_name("here", "s1")) == ("here", "s1")


@pytest.mark.parametrize("name", ["", "bwrap", "sandgate", "sandgate:", "sandgate:here:", "x:y:z"])
def test_other_process_names_are_nobodys(name: str) -> None:
    assert parse_process_name(name) is None


def test_memory_is_left_to_a_control_group_where_there_is_one() -> None:
    assert process_limits(RESOURCES, own_user=True, memory_group=True) == {
        "CORE": 0,
        "FSIZE": 10 * MB,
        "NOFILE": 4096,
        "NPROC": 50,
    }


def test_without_group_and_own_user_memory_is_limited_and_processes_are_not_counted() -> None:
    limits = process_limits(RESOURCES, own_user=False, memory_group=False)
    assert limits["DATA"] == 100 * MB
    assert limits["AS"] > limits["DATA"]
    assert "NPROC" not in limits

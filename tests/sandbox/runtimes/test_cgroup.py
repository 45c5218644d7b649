"""Control groups: which are usable, what is written, that nothing stays."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.runtimes.base import Throttling
from sandbox.runtimes.cgroup import (
    Hierarchies,
    group_of,
    groups_of,
    remove_installation,
    settings_of,
)
from sandbox.runtimes.cgroup_find import discover, group_of_container, named_group
from sandbox.types import Resources

RESOURCES = Resources(memory_mb=100, cpus=0.5, pids=50)
UNIFIED = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
STARTS_ANOTHER = """
import os, subprocess, sys
sys.stdin.readline()
look = "import os; print(os.sched_getaffinity(0))"
subprocess.run([sys.executable, "-c", look], check=True)
"""
GIVES_BACK_ITS_FOLDERS = """
import sys
from pathlib import Path
from sandbox.runtimes.cgroup import Hierarchies, remove_installation
places = Hierarchies(1, {place: Path(place) for place in sys.argv[1:]})
print("begun", flush=True)
while True:
    remove_installation(places, "test-cgroup-other")
"""
BYTES = str(100 * 1024 * 1024)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    for place in UNIFIED:
        remove_installation(Hierarchies(2, {"none": place}), "test-cgroup")
    remove_installation(
        discover(Path("/proc/self/mounts").read_text(), Path("/proc/self/cgroup").read_text()),
        "test-cgroup",
    )


def test_settings_of_version_1() -> None:
    assert settings_of(1, RESOURCES) == {
        "memory": {
            "memory.limit_in_bytes": BYTES,
            "memory.memsw.limit_in_bytes": BYTES,
            "memory.swappiness": "0",
        },
        "pids": {"pids.max": "50"},
        "cpu": {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "50000"},
    }


def test_settings_of_version_2() -> None:
    assert settings_of(2, RESOURCES) == {
        "memory": {"memory.max": BYTES, "memory.swap.max": "0", "memory.oom.group": "0"},
        "pids": {"pids.max": "50"},
        "cpu": {"cpu.max": "50000 100000"},
    }


def mounts(tmp_path: Path, *controllers: str) -> str:
    for name in controllers:
        (tmp_path / name).mkdir()
    return "".join(f"cgroup {tmp_path / n} cgroup rw,relatime,{n} 0 0\n" for n in controllers)


def test_version_1_is_used_from_the_top_of_each_mount(tmp_path: Path) -> None:
    found = discover(mounts(tmp_path, "memory", "pids", "cpu"), "4:memory:/deep/down\n")
    assert found == Hierarchies(
        1, {"memory": tmp_path / "memory", "pids": tmp_path / "pids", "cpu": tmp_path / "cpu"}
    )
    assert found.missing == ()


def test_limits_without_a_controller_are_named(tmp_path: Path) -> None:
    found = discover(mounts(tmp_path, "memory"), "")
    assert found.missing == ("process limit", "cpu limit")


def test_a_mount_that_cannot_be_written_is_not_used(tmp_path: Path) -> None:
    text = f"cgroup {tmp_path / 'absent'} cgroup ro,memory 0 0\n"
    assert discover(text, "").missing == ("memory limit", "process limit", "cpu limit")


def test_version_2_that_hands_no_controller_on_is_passed_over(tmp_path: Path) -> None:
    """So it is on hosts that mount both versions."""
    (tmp_path / "unified").mkdir()
    text = f"cgroup2 {tmp_path / 'unified'} cgroup2 rw 0 0\n" + mounts(tmp_path, "memory")
    assert discover(text, "0::/\n") == Hierarchies(1, {"memory": tmp_path / "memory"})


def test_a_group_of_version_2_is_killed_by_the_kernel_at_once() -> None:
    unified = next((p for p in UNIFIED if (p / "cgroup.procs").exists()), None)
    if unified is None:
        pytest.skip("no version 2 mount")
    group = group_of(Hierarchies(2, {"none": unified}), "test-cgroup", f"u{os.getpid()}")
    group.create(RESOURCES)
    with subprocess.Popen(["sleep", "60"]) as child:
        group.add(child.pid)
        group.kill()
        assert child.wait(10) == -9
    group.remove()
    assert [folder for folder in group.folders if folder.exists()] == []


def test_own_group_is_removed_with_all_that_runs_in_it() -> None:
    """On the real thing, where this machine allows it."""
    hierarchies = real()
    group = group_of(hierarchies, "test-cgroup", f"g{os.getpid()}")
    group.create(RESOURCES)
    with subprocess.Popen(["sleep", "60"]) as child:
        group.add(child.pid)
        assert child.pid in group.pids()
        assert f"g{os.getpid()}" in groups_of(hierarchies, "test-cgroup")
        group.kill()
    group.remove()
    assert groups_of(hierarchies, "test-cgroup") == []


def test_a_group_is_made_while_another_installation_gives_the_same_folders_back() -> None:
    hierarchies = real()
    with subprocess.Popen(
        [sys.executable, "-c", GIVES_BACK_ITS_FOLDERS, *map(str, hierarchies.places)],
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        try:
            assert other.stdout.readline() == b"begun\n"
            for number in range(300):
                group = group_of(hierarchies, "test-cgroup", f"b{os.getpid()}-{number}")
                group.create(RESOURCES)
                group.remove()
                remove_installation(hierarchies, "test-cgroup")
            assert other.poll() is None
        finally:
            other.kill()


def test_removing_a_group_that_is_not_there_is_fine() -> None:
    group_of(real(), "test-cgroup", "absent").remove()


def test_a_group_nothing_happened_in_has_no_memory_kills() -> None:
    group = group_of(real(), "test-cgroup", f"m{os.getpid()}")
    group.create(RESOURCES)
    assert group.oom_kills() == 0
    group.remove()


def test_only_a_host_with_a_freezer_can_freeze() -> None:
    assert Hierarchies(2, {"memory": Path("/x")}).can_freeze
    assert not Hierarchies(2, {}).can_freeze
    assert not Hierarchies(1, {"memory": Path("/x")}).can_freeze
    assert Hierarchies(1, {"freezer": Path("/x")}).can_freeze


def test_a_group_that_cannot_be_frozen_says_so(tmp_path: Path) -> None:
    group = group_of(Hierarchies(1, {"memory": tmp_path}), "test-cgroup", "x")
    with pytest.raises(FileNotFoundError):
        group.freeze()
    assert not group.is_frozen


@pytest.mark.parametrize("place", ["own", "unified"])
def test_a_frozen_group_is_removed_with_all_that_stands_still_in_it(place: str) -> None:
    unified = next((p for p in UNIFIED if (p / "cgroup.procs").exists()), None)
    if place == "unified" and unified is None:
        pytest.skip("no version 2 mount")
    hierarchies = Hierarchies(2, {"none": unified}) if place == "unified" and unified else real()
    group = group_of(hierarchies, "test-cgroup", f"f{os.getpid()}")
    group.create(RESOURCES)
    with subprocess.Popen(["sleep", "60"]) as child:
        group.add(child.pid)
        group.freeze()
        assert group.is_frozen
        group.thaw()
        assert not group.is_frozen
        group.freeze()
        group.kill()
        assert child.wait(10) == -9
    group.remove()
    assert [folder for folder in group.folders if folder.exists()] == []


def test_limits_can_grow_and_shrink() -> None:
    group = group_of(real(), "test-cgroup", f"r{os.getpid()}")
    group.create(RESOURCES)
    for memory in (300, 50, 200):
        group.resize(Resources(memory_mb=memory))
    assert group.memory_bytes() == 0
    group.remove()
    assert group.memory_bytes() is None


OLD = """cgroup {0}/memory cgroup rw,memory 0 0
cgroup {0}/freezer cgroup rw,freezer 0 0
cgroup {0}/cpu cgroup rw,cpuacct,cpu 0 0
"""
OWN = "3:cpu,cpuacct:{0}\n2:memory:{0}\n1:freezer:{0}"


def test_the_group_an_engine_made_is_found_by_its_container(tmp_path: Path) -> None:
    folder = tmp_path / "freezer/docker/abc"
    folder.mkdir(parents=True)
    (folder / "freezer.state").write_text("THAWED")
    found = named_group(OLD.format(tmp_path), OWN.format("/docker/abc"), "abc")
    assert found is not None
    assert {tmp_path / f"{name}/docker/abc" for name in ("cpu", "freezer", "memory")} == {
        *found.folders
    }


def test_the_group_of_a_container_in_version_2(tmp_path: Path) -> None:
    folder = tmp_path / "system.slice/docker-abc.scope"
    folder.mkdir(parents=True)
    (folder / "cgroup.freeze").write_text("0")
    own = "0::/system.slice/docker-abc.scope"
    found = named_group(f"cgroup2 {tmp_path} cgroup2 rw 0 0\n", own, "abc")
    assert found is not None
    assert found.folders == (folder,)


@pytest.mark.parametrize(
    "own",
    [
        OWN.format("/docker/other"),  # the pid is somebody else's by now
        "3:cpu:/docker/abc\n2:memory:/docker/abc\n1:freezer:/elsewhere/abc",
        "3:cpu:/elsewhere/abc\n2:memory:/docker/abc\n1:freezer:/docker/abc",
        "2:memory:/docker/abc",
        OWN.format("/docker/gone-abc"),
        OWN.format("/../docker/abc"),
        "",
    ],
)
def test_a_group_that_is_not_surely_the_containers_is_none(tmp_path: Path, own: str) -> None:
    for name in ("docker/abc", "docker/other"):
        folder = tmp_path / "freezer" / name
        folder.mkdir(parents=True)
        (folder / "freezer.state").write_text("THAWED")
    assert named_group(OLD.format(tmp_path), own, "abc") is None


def test_a_process_that_is_gone_has_no_group() -> None:
    assert group_of_container(2**22 + 1, "abc") is None


def real() -> Hierarchies:
    found = discover(Path("/proc/self/mounts").read_text(), Path("/proc/self/cgroup").read_text())
    if not found.folders:
        pytest.skip("no control group can be made here")
    return found


# --- shares of the processors


@pytest.mark.parametrize("version", [1, 2])
def test_how_often_a_group_used_up_its_share_is_read(version: int, tmp_path: Path) -> None:
    group = group_of(Hierarchies(version, {"cpu": tmp_path}), "x", "s1")
    (folder := group.folders[0]).mkdir(parents=True)
    (folder / "cpu.stat").write_text("usage_usec 9\nnr_periods 40\nnr_throttled 7\n")
    assert group.throttling() == Throttling(40, 7)


@pytest.mark.parametrize("text", [None, "", "usage_usec 9\n", "nr_periods\n", "nr_periods x\n"])
def test_a_share_nobody_counts_is_unknown(text: str | None, tmp_path: Path) -> None:
    group = group_of(Hierarchies(2, {"cpu": tmp_path}), "x", "s1")
    if text is not None:
        (folder := group.folders[0]).mkdir(parents=True)
        (folder / "cpu.stat").write_text(text)
    assert group.throttling() is None


def test_without_the_controller_the_share_is_unknown(tmp_path: Path) -> None:
    assert group_of(Hierarchies(1, {"memory": tmp_path}), "x", "s1").throttling() is None


def test_what_is_in_a_group_and_what_it_starts_stays_on_the_processors_it_is_kept_to() -> None:
    group = group_of(real(), "test-cgroup", f"c{os.getpid()}")
    group.create(RESOURCES)
    [core, *_] = sorted(os.sched_getaffinity(0))
    with subprocess.Popen(
        [sys.executable, "-c", STARTS_ANOTHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        group.add(child.pid)
        group.confine(frozenset({core}))
        said, _ = child.communicate(b"go\n", 20)
    assert os.sched_getaffinity(0) >= {core}
    assert said.decode().split() == [str({core})]
    group.remove()


def test_a_group_that_is_gone_cannot_be_kept_to_anything(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        group_of(Hierarchies(2, {"cpu": tmp_path}), "x", "gone").confine(frozenset({0}))

"""Giving root up: whom a child becomes, what it still reaches, what it does not see any more."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.cli.identity import Identities, becoming, identities, program_paths, reach_of, why_not
from gateway.users import DOOR, GATEWAY

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

LOOK = """
import json, os, sys
def attempt(path):
    try:
        return os.listdir(path)
    except OSError as error:
        return type(error).__name__
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({
    "ids": [os.getuid(), os.geteuid(), os.getgid(), os.getgroups()],
    "capabilities": {name: status[name].strip() for name in ("CapEff", "CapPrm", "CapBnd")},
    "new_privileges": status["NoNewPrivs"].strip(),
    "seen": [attempt(path) for path in sys.argv[1:]],
}))
"""


def look(become: Callable[[], None], *paths: Path) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", LOOK, *map(str, paths)],
        preexec_fn=become,
        cwd="/",
        capture_output=True,
        timeout=30,
        check=True,
    )
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_open_directories_need_nothing(tmp_path: Path) -> None:
    assert reach_of(GATEWAY, [Path("/usr"), Path("/proc")]).is_open


def test_the_topmost_closed_directory_is_what_stands_in_the_way(tmp_path: Path) -> None:
    home = tmp_path / "home"
    inner = home / "a" / "b"
    inner.mkdir(parents=True)
    (home / "a").chmod(0o700)
    home.chmod(0o700)
    above = {
        closed
        for closed in reach_of(GATEWAY, [inner]).kept
        if Path(closed) == home or home.is_relative_to(closed)
    }
    assert len(above) == 1
    assert str(inner) in next(iter(reach_of(GATEWAY, [inner]).kept.values()))


def test_a_path_below_another_one_is_kept_by_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "kept" / "inner").mkdir(parents=True)
    home.chmod(0o700)
    kept = reach_of(GATEWAY, [home / "kept" / "inner", home / "kept"]).kept
    assert list(kept.values()) == [(str(home / "kept"),)]


@needs_root
def test_a_child_is_somebody_else_for_good() -> None:
    seen = look(becoming(GATEWAY, reach_of(GATEWAY, program_paths())))
    assert seen["ids"] == [GATEWAY.uid, GATEWAY.uid, GATEWAY.uid, []]
    assert seen["new_privileges"] == "1"
    capabilities = seen["capabilities"]
    assert isinstance(capabilities, dict)
    assert int(capabilities["CapEff"], 16) == int(capabilities["CapPrm"], 16) == 0


@needs_root
def test_of_a_closed_directory_it_sees_what_it_needs_and_nothing_else(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for name in ("needed", "private"):
        (home / name).mkdir(parents=True)
        (home / name / "file").touch()
    home.chmod(0o700)
    tmp_path.chmod(0o755)
    become = becoming(DOOR, reach_of(DOOR, [*program_paths(), home / "needed"]))
    assert look(become, home / "needed", home / "private")["seen"] == [
        ["file"],
        "FileNotFoundError",
    ]
    assert sorted(path.name for path in home.iterdir()) == ["needed", "private"]


@needs_root
def test_python_with_our_sources_starts_as_each_user(tmp_path: Path) -> None:
    for user in (GATEWAY, DOOR):
        assert why_not(user, reach_of(user, program_paths())) == ""


@needs_root
def test_root_gives_its_children_users_of_their_own(tmp_path: Path) -> None:
    found = identities(tmp_path, tmp_path)
    assert found.are_own
    assert found.manager_arguments == ("--client-uid", str(GATEWAY.uid))
    assert (found.home, "USER" in found.hidden) == ({"HOME": "/"}, True)


def test_without_users_of_their_own_children_stay_what_they_are() -> None:
    assert (Identities().manager_arguments, Identities().hidden) == ((), ())
    assert Identities().home == {}

"""Which of an engine's runtimes can be used, and what is said when one cannot."""

from typing import Any

import pytest

from sandbox.runtimes.base import RuntimeUnavailableError
from sandbox.runtimes.cgroup import Hierarchies
from sandbox.runtimes.docker_facts import facts_of
from sandbox.runtimes.docker_flavours import (
    GVISOR,
    RUNC,
    arguments_of,
    can_dial,
    ignores_groups,
    require_usable,
)
from sandbox.runtimes.gvisor import missing_under, room_for
from sandbox.types import Resources


def engine(*arguments: str, version: str = "1") -> dict[str, Any]:
    """What an engine with gVisor says of itself."""
    runsc = {"path": "/opt/runsc", "runtimeArgs": list(arguments)}
    return {"CgroupVersion": version, "Runtimes": {"runc": {"path": "runc"}, "runsc": runsc}}


BARE: dict[str, Any] = {"CgroupVersion": "1", "Runtimes": {"runc": {"path": "runc"}}}


def test_gvisor_is_usable_when_its_runner_can_dial_the_host() -> None:
    require_usable(GVISOR, engine("--host-uds=open"))


def test_an_engine_without_gvisor_says_what_to_install_and_what_to_write() -> None:
    with pytest.raises(RuntimeUnavailableError) as refused:
        require_usable(GVISOR, BARE)
    text = str(refused.value)
    assert "apt-get install runsc" in text
    assert (
        '{"runtimes": {"runsc": {"path": "/usr/bin/runsc", "runtimeArgs": '
        '["--network=none", "--ignore-cgroups", "--host-uds=open"]}}}'
    ) in text
    assert "/etc/docker/daemon.json" in text
    assert "kill -HUP" in text


def test_one_that_may_not_dial_is_told_the_whole_new_line() -> None:
    with pytest.raises(RuntimeUnavailableError) as refused:
        require_usable(GVISOR, engine("--platform=ptrace", "--host-uds=none"))
    assert (
        '{"runsc": {"path": "/opt/runsc", "runtimeArgs": ["--platform=ptrace", "--host-uds=open"]}}'
    ) in str(refused.value)


def test_the_usual_runtime_needs_nothing() -> None:
    require_usable(RUNC, BARE)


@pytest.mark.parametrize(
    ("argument", "answer"),
    [
        ("--host-uds=open", True),
        ("-host-uds=all", True),
        ("--fsgofer-host-uds", True),
        ("--host-uds=create", False),
        ("--host-uds=none", False),
        ("--network=none", False),
    ],
)
def test_which_flags_let_it_dial(argument: str, answer: bool) -> None:
    assert can_dial((argument,)) is answer


@pytest.mark.parametrize(
    ("argument", "answer"),
    [("--ignore-cgroups", True), ("-ignore-cgroups=true", True), ("--ignore-cgroups=false", False)],
)
def test_which_flags_leave_control_groups_alone(argument: str, answer: bool) -> None:
    assert ignores_groups((argument,)) is answer


def test_facts_of_gvisor() -> None:
    facts = facts_of(engine("--ignore-cgroups"), GVISOR)
    assert (facts.runtime, facts.name) == ("runsc", "gvisor")
    assert facts.ignores_groups
    assert not facts.filters_calls


def test_an_engine_whose_default_is_gvisor_is_asked_for_the_usual_one_by_name() -> None:
    assert facts_of(BARE).runtime == ""
    assert facts_of(engine() | {"DefaultRuntime": "runsc"}).runtime == "runc"


def test_limits_that_no_group_of_ours_makes_up_for_are_named() -> None:
    always = ("inode limit on /tmp", "process limit of user code")
    assert missing_under(engine(), Hierarchies(1, {})) == always
    assert missing_under(engine("--ignore-cgroups"), Hierarchies(1, {})) == (
        *always,
        "memory limit",
        "process limit",
        "cpu limit",
    )


def test_its_own_kernel_gets_threads_beside_those_of_user_code() -> None:
    assert room_for(Resources(pids=10)).pids > 30
    assert room_for(Resources(memory_mb=99)).memory_mb == 99


def test_a_runtime_the_engine_does_not_know_has_no_arguments() -> None:
    assert arguments_of(BARE, "runsc") is None
    assert arguments_of(BARE, "runc") == ()

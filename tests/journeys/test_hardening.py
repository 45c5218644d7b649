"""The containers of a running installation, as the engine itself describes them."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.cli.files import installation_id
from tests.support.engines import require
from tests.support.installation import Installation, installation
from tests.support.residue import containers

pytestmark = [pytest.mark.docker]


@pytest.fixture(scope="module")
def inspected() -> Iterator[list[dict[str, Any]]]:
    """`docker inspect` of the demo's container and of the blanks beside it."""
    require("docker")
    with installation(SANDBOX_RUNTIME="docker") as made:
        yield inspect(made)


def inspect(made: Installation) -> list[dict[str, Any]]:
    found = containers(installation_id(made.data_dir))
    shown = subprocess.run(
        ["docker", "inspect", *found], capture_output=True, text=True, check=True, timeout=30
    )
    value: list[dict[str, Any]] = json.loads(shown.stdout)
    assert value
    return value


FLAGS: dict[str, object] = {
    "NetworkMode": "none",
    "ReadonlyRootfs": True,
    "CapDrop": ["ALL"],
    "CapAdd": None,
    "Privileged": False,
    "Memory": 256 * 1024 * 1024,
    "MemorySwap": 256 * 1024 * 1024,
    "PidsLimit": 128,
    "NanoCpus": 1_000_000_000,
    "Init": False,
    "CgroupnsMode": "private",
    "IpcMode": "private",
    "Binds": None,
    "Devices": None,
}


@pytest.mark.parametrize("flag", sorted(FLAGS))
def test_every_container_has_the_flag(inspected: list[dict[str, Any]], flag: str) -> None:
    assert {json.dumps(one["HostConfig"][flag]) for one in inspected} == {json.dumps(FLAGS[flag])}


def test_new_privileges_are_refused_and_system_calls_filtered(
    inspected: list[dict[str, Any]],
) -> None:
    for one in inspected:
        options = one["HostConfig"]["SecurityOpt"]
        assert "no-new-privileges:true" in options
        assert [option for option in options if option.startswith('seccomp={"')]


def test_user_is_not_root_and_no_two_are_the_same(inspected: list[dict[str, Any]]) -> None:
    users = [one["Config"]["User"] for one in inspected]
    assert len(set(users)) == len(users)
    assert not [user for user in users if user.startswith(("0:", "root")) or not user]


def test_only_the_control_sockets_and_a_host_list_are_mounted_read_only(
    inspected: list[dict[str, Any]],
) -> None:
    for one in inspected:
        mounts = {(mount["Destination"], mount["RW"]) for mount in one["Mounts"]}
        assert mounts == {("/ctl", False), ("/etc/hosts", False)}
        assert set(one["HostConfig"]["Tmpfs"]) == {"/tmp"}
        assert "noexec" in one["HostConfig"]["Tmpfs"]["/tmp"]


def test_limits_of_files_and_cores_are_set(inspected: list[dict[str, Any]]) -> None:
    for one in inspected:
        limits = {limit["Name"]: limit["Hard"] for limit in one["HostConfig"]["Ulimits"]}
        assert limits["core"] == 0
        assert limits["nofile"] <= 4096


def test_nothing_secret_is_in_the_description(inspected: list[dict[str, Any]]) -> None:
    text = json.dumps(inspected)
    assert "sg_live_" not in text
    assert "FastAPI" not in text  # the code came over the control socket

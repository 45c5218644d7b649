"""What code in a sandbox can see, reach and use up, asked from the inside of both runtimes."""

import os
import platform
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sandbox.runtimes.identity import FIRST_UID
from sandbox.runtimes.root import RUNNER_ENV
from sandbox.types import Resources
from tests.support.blanks import Blank, launched
from tests.support.runtimes import REAL, new_installation, prepared, short_folder

CODE = (Path(__file__).parent / "probe_app.py").read_text()
RESOURCES = Resources(memory_mb=256, pids=64, tmp_mb=16)
REFUSED = {"EPERM", "ENOSYS"}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=REAL)
async def inside(request: pytest.FixtureRequest) -> AsyncIterator[Blank]:
    """A sandbox that runs the probes."""
    installation = new_installation()
    async with (
        short_folder() as folder,
        prepared(request.param, installation) as runtime,
        launched(runtime, folder, installation, RESOURCES) as blank,
    ):
        assert (await blank.specialise(CODE))["type"] == "ready"
        yield blank


async def ask(inside: Blank, path: str) -> Any:
    answer = await inside.get(path)
    assert answer.status == 200, answer.body
    return answer.json()


async def test_it_runs_as_a_user_of_its_own_without_capabilities(inside: Blank) -> None:
    status = await ask(inside, "/status")
    assert int(status["Uid"].split()[0]) >= FIRST_UID
    assert len(set(status["Uid"].split() + status["Gid"].split())) == 1
    assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapAmb")} == {0}


async def test_it_can_gain_no_privilege_and_is_filtered(inside: Blank) -> None:
    status = await ask(inside, "/status")
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


async def test_its_environment_is_ours_alone(inside: Blank) -> None:
    """PWD is bubblewrap's and HOSTNAME the engine's doing; both say nothing."""
    environment = await ask(inside, "/environment")
    environment.pop("PWD", None)
    environment.pop("HOSTNAME", None)
    way_out = {name for name in environment if name.lower().endswith(("_proxy", "_ca_bundle"))}
    way_out.add("SSL_CERT_FILE")
    assert {n: v for n, v in environment.items() if n not in way_out} == RUNNER_ENV
    assert environment["HTTPS_PROXY"] == "http://127.0.0.1:3128"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of x86_64")
async def test_dangerous_system_calls_are_refused(inside: Blank) -> None:
    calls = await ask(inside, "/calls")
    assert {name: error for name, error in calls.items() if error not in REFUSED} == {}


async def test_only_usual_socket_families_exist(inside: Blank) -> None:
    families = await ask(inside, "/families")
    assert set(families.values()) == {"EPERM"}


async def test_there_is_no_network_but_loopback(inside: Blank) -> None:
    network = await ask(inside, "/network")
    assert network["interfaces"] == ["lo"]
    assert set(network["dialled"].values()) <= {"ENETUNREACH", "EADDRNOTAVAIL"}
    assert network["resolved"] != "ok"


async def test_only_its_own_folders_can_be_written(inside: Blank) -> None:
    assert sorted(await ask(inside, "/writes")) == ["/dev/shm", "/tmp"]


async def test_kernel_files_are_out_of_reach(inside: Blank) -> None:
    """A user namespace is not there to be mapped either."""
    answers = await ask(inside, "/kernel-files")
    answers.pop("/proc/self/uid_map")  # opens, but mapping needs a namespace of one's own
    assert [path for path, error in answers.items() if error == "ok"] == []


async def test_files_that_describe_the_host_are_hidden(inside: Blank) -> None:
    assert set((await ask(inside, "/secrets")).values()) == {0}


async def test_there_is_no_shell_no_compiler_nothing_setuid(inside: Blank) -> None:
    assert await ask(inside, "/files") == {"programs": [], "privileged": [], "devices": []}


async def test_it_sees_no_process_but_its_own(inside: Blank) -> None:
    seen = await ask(inside, "/processes")
    assert 2 <= len(seen) <= 4
    assert os.getcwd() not in "".join(seen)


async def test_process_list_names_no_path_of_the_host(inside: Blank) -> None:
    assert "sgr-" not in "".join(await ask(inside, "/processes"))


async def test_it_holds_no_descriptor_of_the_host(inside: Blank) -> None:
    assert set(await ask(inside, "/descriptors")) <= {"/dev/null", "/proc/1/fd"}


async def test_its_supervisor_is_closed_to_it(inside: Blank) -> None:
    assert set((await ask(inside, "/supervisor")).values()) <= {"EACCES", "EPERM"}


async def test_a_fork_bomb_ends_at_the_limit(inside: Blank) -> None:
    assert 1 <= await ask(inside, "/forks") < RESOURCES.pids
    assert (await inside.get("/status")).status == 200


async def test_threads_end_at_the_limit(inside: Blank) -> None:
    assert 1 <= await ask(inside, "/threads") < RESOURCES.pids
    assert (await inside.get("/status")).status == 200


async def test_tmp_is_full_at_its_size(inside: Blank) -> None:
    filled = await ask(inside, "/fill?folder=/tmp&megabytes=100")
    assert filled["error"] == "ENOSPC"
    assert filled["written"] <= RESOURCES.tmp_mb * 1.05


async def test_shared_memory_is_small(inside: Blank) -> None:
    filled = await ask(inside, "/fill?folder=/dev/shm&megabytes=100")
    assert filled["error"] == "ENOSPC"
    assert filled["written"] <= 8


async def test_a_file_cannot_be_larger_than_tmp(inside: Blank) -> None:
    assert await ask(inside, "/huge-file") == "EFBIG"

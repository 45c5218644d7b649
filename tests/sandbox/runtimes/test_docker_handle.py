"""A container whose control group cannot be reached, and what exit codes and counters tell."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.runtimes import cgroup
from sandbox.runtimes.base import RuntimeUnavailableError
from sandbox.runtimes.docker import DockerRuntime
from sandbox.runtimes.docker_engine import Engine
from sandbox.runtimes.docker_handle import DockerHandle
from sandbox.types import EndReason, Resources
from tests.support.blanks import launched
from tests.support.engines import require_docker
from tests.support.runtimes import new_installation, runner_root, short_folder

HELLO = "from fastapi import FastAPI\napp = FastAPI()\n@app.get('/')\ndef hello(): return 1\n"


class Remote(DockerRuntime):
    """As with an engine on another machine: its control groups are out of reach."""

    async def _group_of(self, sandbox_id: str) -> cgroup.Group | None:
        return None


@pytest.fixture
async def folder() -> AsyncIterator[Path]:
    async with short_folder() as folder:
        yield folder


@pytest.fixture
async def remote() -> AsyncIterator[tuple[Remote, str]]:
    require_docker()
    installation = new_installation()
    runtime = Remote(Path("/nonexistent"), installation, root=runner_root())
    await runtime.prepare()
    try:
        yield runtime, installation
    finally:
        await runtime.close()


@pytest.mark.docker
async def test_the_engine_freezes_and_thaws_where_groups_are_out_of_reach(
    remote: tuple[Remote, str], folder: Path
) -> None:
    runtime, installation = remote
    engine = Engine(None)
    await engine.connect()
    async with launched(runtime, folder, installation) as blank:
        name = blank.handle.sandbox_id
        for _ in range(2):
            await blank.handle.freeze()
        assert (await engine.look(name)).is_paused
        for _ in range(2):
            await blank.handle.thaw()
        assert not (await engine.look(name)).is_paused
        assert await blank.handle.memory_bytes() is None
        assert (await blank.specialise(HELLO))["type"] == "ready"
    engine.close()


@pytest.mark.docker
async def test_what_the_engine_froze_is_found_adopted_and_destroyed(
    remote: tuple[Remote, str], folder: Path
) -> None:
    runtime, installation = remote
    async with launched(runtime, folder, installation) as blank:
        await blank.handle.freeze()
        [found] = await runtime.find(installation)
        assert found.alive
        adopted = await runtime.adopt(found)
        assert adopted is not None
        assert (await blank.specialise(HELLO))["type"] == "ready"
        await adopted.freeze()
    assert await runtime.find(installation) == []


def handle_over(group: cgroup.Group | None, *, engine_resizes: bool = True) -> DockerHandle:
    """A handle without any container; its engine was never connected."""

    async def find(sandbox_id: str) -> cgroup.Group | None:
        return group

    async def discard(sandbox_id: str) -> None:
        return None

    return DockerHandle(Engine(None), "s1", find, discard, engine_resizes=engine_resizes)


@pytest.mark.parametrize(
    ("code", "reason"), [(159, EndReason.SYSCALL), (137, None), (0, None), (None, None)]
)
async def test_an_exit_code_tells_of_a_forbidden_call(
    code: int | None, reason: EndReason | None
) -> None:
    handle = handle_over(None)
    handle.exit_code = code
    handle.ended.set()
    assert await handle.end_reason() is reason


async def test_the_engines_word_for_memory_is_taken() -> None:
    handle = handle_over(None)
    handle.out_of_memory.set()
    assert await handle.end_reason() is EndReason.MEMORY


async def test_the_groups_count_is_known_before_the_engines_word(tmp_path: Path) -> None:
    folder = tmp_path / "sandgate/x/s1"
    folder.mkdir(parents=True)
    (folder / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    group = cgroup.group_of(cgroup.Hierarchies(1, {"memory": tmp_path}), "x", "s1")
    assert await handle_over(group).end_reason() is EndReason.MEMORY


async def test_memory_is_what_could_not_be_dropped(tmp_path: Path) -> None:
    folder = tmp_path / "sandgate/x/s1"
    folder.mkdir(parents=True)
    (folder / "memory.current").write_text("1000\n")
    (folder / "memory.stat").write_text("anon 500\nactive_file 100\ninactive_file 200\n")
    group = cgroup.group_of(cgroup.Hierarchies(2, {"memory": tmp_path}), "x", "s1")
    assert await handle_over(group).memory_bytes() == 700


async def test_a_group_that_does_not_freeze_is_the_engines_failure(tmp_path: Path) -> None:
    group = cgroup.group_of(cgroup.Hierarchies(2, {"memory": tmp_path}), "x", "absent")
    with pytest.raises(RuntimeUnavailableError):
        await handle_over(group).freeze()


async def test_a_runtime_that_changes_no_limits_says_so() -> None:
    with pytest.raises(RuntimeUnavailableError, match="changes no limits"):
        await handle_over(None, engine_resizes=False).resize(Resources())

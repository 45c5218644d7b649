"""Dependencies of a file: what the manager is asked, and how its answers become failures."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest

from gateway.errors import SandgateError
from gateway.operations import dependencies
from gateway.operations.dependencies import lock_of
from gateway.operations.ports import Sandboxes
from sandbox.types import CapacityError, DependencyError, Lock, ManagerUnavailableError

LOCK = Lock("a" * 64, "humanize==1.0 --hash=sha256:00\n", ("humanize==1.0",))
CODE = '# /// script\n# dependencies = ["humanize>=1", "Attrs"]\n# ///\napp = None\n'


@dataclass
class Manager:
    """Answers `lock` with a value, an error or not at all."""

    answer: Lock | Exception | None = LOCK
    asked: list[tuple[str, ...]] = field(default_factory=list)

    async def lock(self, requirements: Sequence[str]) -> Lock:
        self.asked.append(tuple(requirements))
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        assert self.answer is not None
        return self.answer


async def ask(manager: Manager, code: str = CODE) -> Lock | None:
    return await lock_of(cast(Sandboxes, manager), code)


async def failure(manager: Manager, code: str = CODE) -> SandgateError:
    with pytest.raises(SandgateError) as caught:
        await ask(manager, code)
    return caught.value


async def test_requirements_go_to_the_manager_in_canonical_form() -> None:
    manager = Manager()
    assert await ask(manager) == LOCK
    assert manager.asked == [("attrs", "humanize>=1")]


@pytest.mark.parametrize(
    "code",
    ["app = None\n", "", '# /// script\n# dependencies = []\n# requires-python = ">=3"\n# ///\n'],
)
async def test_a_file_that_asks_for_nothing_bothers_nobody(code: str) -> None:
    manager = Manager()
    assert await ask(manager, code) is None
    assert manager.asked == []


async def test_what_every_sandbox_has_makes_no_lock() -> None:
    assert await ask(Manager(Lock("", "", ()))) is None


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ('# /// script\n# dependencies = ["x @ https://a.example/x.whl"]\n# ///\n', 2),
        ('x = 1\n# /// script\n# dependencies = ["a"]\n', 2),
        ("# /// script\n# [tool.uv]\n# ///\n", 2),
    ],
)
async def test_a_bad_block_is_told_with_its_line(code: str, line: int) -> None:
    manager = Manager()
    error = await failure(manager, code)
    assert (error.status, error.code) == (422, "dependencies_invalid")
    assert error.detail.startswith(f"app.py, line {line}: ")
    told = error.extra["failure"]
    assert isinstance(told, dict)
    assert told["line"] == line
    assert manager.asked == []


async def test_the_resolvers_reason_reaches_the_owner() -> None:
    error = await failure(Manager(DependencyError("no such \ud800 package")))
    assert (error.status, error.code) == (422, "dependencies_unavailable")
    assert error.detail == "no such ? package"


async def test_an_index_that_is_away_can_be_tried_again() -> None:
    error = await failure(Manager(ManagerUnavailableError("connect to 10.0.0.1 failed")))
    assert (error.status, error.code) == (503, "unavailable")
    assert error.headers["Retry-After"] == "30"
    assert "10.0.0.1" not in error.detail


async def test_a_full_machine_is_told_as_for_a_start() -> None:
    error = await failure(Manager(CapacityError()))
    assert (error.status, error.code) == (503, "no_capacity")


async def test_a_manager_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dependencies, "LOCK_SECONDS", 0.01)
    error = await failure(Manager(None))
    assert (error.status, error.code) == (504, "dependencies_timeout")

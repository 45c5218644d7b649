"""Which runtime a name gives, and what is said about it."""

from pathlib import Path

import pytest

from sandbox.runtimes.base import Found, Handle, Launch, RuntimeUnavailableError
from sandbox.runtimes.choose import choose, first_of
from sandbox.types import Tier


class Stub:
    """A runtime that can or cannot be prepared."""

    tier = Tier.NONE
    takes_descriptors = True
    can_freeze = False

    def __init__(self, name: str, trouble: str = "") -> None:
        self.name = name
        self.trouble = trouble
        self.closed = False

    async def prepare(self) -> None:
        if self.trouble:
            raise RuntimeUnavailableError(self.trouble)

    async def check(self) -> tuple[str, ...]:
        return ()

    async def launch(self, launch: Launch) -> Handle:
        raise NotImplementedError

    async def find(self, installation: str) -> list[Found]:
        raise NotImplementedError

    async def adopt(self, found: Found) -> Handle | None:
        raise NotImplementedError

    async def remove(self, found: Found) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        self.closed = True


async def test_the_preferred_one_is_taken_when_it_answers() -> None:
    first, second = Stub("docker"), Stub("bubblewrap")
    chosen = await first_of(first, second)
    assert (chosen.runtime, chosen.detail) == (first, "docker answers")


async def test_the_other_one_comes_with_the_reason() -> None:
    first, second = Stub("docker", "no engine answers"), Stub("bubblewrap")
    chosen = await first_of(first, second)
    assert chosen.runtime is second
    assert chosen.detail == "bubblewrap, because no engine answers"
    assert first.closed


async def test_when_none_works_both_reasons_are_told() -> None:
    with pytest.raises(RuntimeUnavailableError, match="no engine; no program"):
        await first_of(Stub("docker", "no engine"), Stub("bubblewrap", "no program"))


async def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="podman"):
        await choose("podman", tmp_path, "x")

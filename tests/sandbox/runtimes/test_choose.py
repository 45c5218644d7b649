"""Which runtimes a name gives, and what is said about them and about every tier."""

from pathlib import Path

import pytest

from sandbox.runtimes.base import Found, Handle, Launch, Runtime, RuntimeUnavailableError
from sandbox.runtimes.choose import Chosen, choose, first_usable
from sandbox.types import Tier

TIERS = {"docker": Tier.RUNC, "gvisor": Tier.GVISOR, "bubblewrap": Tier.BWRAP}


class Stub:
    """A runtime that can or cannot be prepared."""

    takes_descriptors = True
    can_freeze = False

    def __init__(self, name: str, trouble: str | None, check_trouble: str = "") -> None:
        self.name = name
        self.tier = TIERS[name]
        self.trouble = trouble
        self.check_trouble = check_trouble
        self.prepared = False
        self.closed = False

    async def prepare(self) -> None:
        if self.trouble is not None:
            raise RuntimeUnavailableError(self.trouble)
        self.prepared = True

    async def check(self) -> tuple[str, ...]:
        if self.check_trouble:
            raise RuntimeUnavailableError(self.check_trouble)
        return (f"{self.name} lacks this",)

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


class Machine:
    """The three runtimes of one machine; those named have trouble."""

    def __init__(self, **trouble: str) -> None:
        self.stubs = {name: Stub(name, trouble.get(name)) for name in TIERS}

    async def choose(self, name: str, floor: Tier | None = None) -> Chosen:
        made: dict[str, Runtime] = dict(self.stubs)
        return await first_usable(name, made, floor)

    @property
    def prepared(self) -> list[str]:
        return [name for name, stub in self.stubs.items() if stub.prepared]


def names(chosen: Chosen) -> list[str]:
    return [runtime.name for runtime in chosen.runtimes]


async def test_an_engine_gives_both_its_tiers_the_faster_one_first() -> None:
    machine = Machine()
    chosen = await machine.choose("auto")
    assert names(chosen) == ["docker", "gvisor"]
    assert chosen.detail == "docker answers"
    assert machine.prepared == ["docker", "gvisor"]


async def test_an_engine_without_gvisor_gives_one_and_the_reason() -> None:
    machine = Machine(gvisor="no runsc")
    chosen = await machine.choose("auto")
    assert names(chosen) == ["docker"]
    [gvisor] = [one for one in chosen.tiers if one.tier is Tier.GVISOR]
    assert (gvisor.is_available, gvisor.detail) == (False, "no runsc")
    assert machine.stubs["gvisor"].closed


async def test_without_an_engine_bubblewrap_is_taken_and_the_reason_told() -> None:
    chosen = await Machine(docker="no engine answers", gvisor="no engine answers").choose("auto")
    assert names(chosen) == ["bubblewrap"]
    assert chosen.detail == "bubblewrap, because no engine answers"


async def test_when_none_works_every_reason_is_told_once() -> None:
    machine = Machine(docker="no engine", gvisor="no engine", bubblewrap="no program")
    with pytest.raises(RuntimeUnavailableError, match=r"^no engine; no program$"):
        await machine.choose("auto")


async def test_every_tier_is_named_with_what_it_lacks() -> None:
    tiers = {one.tier: one for one in (await Machine().choose("docker")).tiers}
    assert list(tiers) == [Tier.VM, Tier.GVISOR, Tier.RUNC, Tier.BWRAP]
    assert tiers[Tier.RUNC].is_available
    assert tiers[Tier.RUNC].missing == ("docker lacks this",)
    assert not tiers[Tier.VM].is_available
    assert tiers[Tier.BWRAP].detail == "not used with docker"


async def test_an_engine_that_goes_away_while_it_is_asked_is_told() -> None:
    machine = Machine()
    machine.stubs["docker"].check_trouble = "gone"
    [runc] = [one for one in (await machine.choose("auto")).tiers if one.tier is Tier.RUNC]
    assert (runc.is_available, runc.detail) == (False, "gone")


@pytest.mark.parametrize("name", ["docker", "gvisor", "bubblewrap"])
async def test_a_named_runtime_is_never_replaced(name: str) -> None:
    machine = Machine(**{name: "gone"})
    with pytest.raises(RuntimeUnavailableError, match="gone"):
        await machine.choose(name)
    assert all(stub.closed for stub in machine.stubs.values() if stub.prepared)


@pytest.mark.parametrize(
    ("name", "runtimes"),
    [("docker", ["docker", "gvisor"]), ("gvisor", ["gvisor"]), ("bubblewrap", ["bubblewrap"])],
)
async def test_a_named_runtime_is_the_default(name: str, runtimes: list[str]) -> None:
    chosen = await Machine().choose(name)
    assert names(chosen) == runtimes
    assert chosen.detail == f"{name}, as the settings say"


async def test_what_is_weaker_than_the_floor_is_not_even_prepared() -> None:
    machine = Machine()
    chosen = await machine.choose("docker", Tier.GVISOR)
    assert names(chosen) == ["gvisor"]
    assert machine.prepared == ["gvisor"]
    [runc] = [one for one in chosen.tiers if one.tier is Tier.RUNC]
    assert "floor" in runc.detail


async def test_a_floor_that_nothing_reaches_says_what_to_install() -> None:
    machine = Machine(gvisor="apt-get install runsc")
    with pytest.raises(RuntimeUnavailableError, match=r"floor gvisor.*apt-get install runsc"):
        await machine.choose("auto", Tier.GVISOR)


async def test_no_floor_is_reached_by_what_does_not_exist() -> None:
    with pytest.raises(RuntimeUnavailableError, match="floor vm"):
        await Machine().choose("auto", Tier.VM)


async def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="podman"):
        await choose("podman", tmp_path, "x")

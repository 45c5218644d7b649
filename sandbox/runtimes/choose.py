"""From the name in the settings to the runtimes that are ready, and the tiers they give."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.runtimes.base import Runtime, RuntimeUnavailableError
from sandbox.runtimes.bubblewrap import BubblewrapRuntime
from sandbox.runtimes.docker import DockerRuntime
from sandbox.runtimes.docker_flavours import GVISOR, RUNC
from sandbox.runtimes.image import DEFAULT_BASE
from sandbox.types import Tier, TierStatus

NAMES = ("auto", "docker", "gvisor", "bubblewrap")
TIERS = {Tier.VM: "", Tier.GVISOR: "gvisor", Tier.RUNC: "docker", Tier.BWRAP: "bubblewrap"}
NO_VM = "no runtime of this version starts virtual machines"
# which runtimes a name tries, the default first; the last group only when the first gave none
WANTED = {
    "auto": (("docker", "gvisor"), ("bubblewrap",)),
    "docker": (("docker", "gvisor"), ()),
    "gvisor": (("gvisor",), ()),
    "bubblewrap": (("bubblewrap",), ()),
}
# without it the settings' choice is not kept, whatever else could be had
NEEDED = {"docker": "docker", "gvisor": "gvisor", "bubblewrap": "bubblewrap"}


@dataclass(frozen=True, slots=True)
class Chosen:
    """Prepared runtimes, the default one first; in words why; each tier of this machine."""

    runtimes: tuple[Runtime, ...]
    detail: str
    tiers: tuple[TierStatus, ...]

    @property
    def runtime(self) -> Runtime:
        """The default one."""
        return self.runtimes[0]


async def choose(
    name: str,
    data_dir: Path,
    installation: str,
    *,
    base_image: str = DEFAULT_BASE,
    floor: Tier | None = None,
) -> Chosen:
    """The runtimes that a name allows and this host has; a named one is never replaced.

    `auto` takes docker when an engine answers, else bubblewrap; gvisor comes along where
    the engine has it. What is weaker than `floor` is not offered. Raises
    RuntimeUnavailableError with what to do.
    """
    if name not in WANTED:
        raise ValueError(f"unknown runtime {name!r}; there are {', '.join(NAMES)}")
    made: dict[str, Runtime] = {
        "docker": DockerRuntime(data_dir, installation, base_image=base_image, flavour=RUNC),
        "gvisor": DockerRuntime(data_dir, installation, base_image=base_image, flavour=GVISOR),
        "bubblewrap": BubblewrapRuntime(data_dir, installation),
    }
    return await first_usable(name, made, floor)


async def first_usable(name: str, made: dict[str, Runtime], floor: Tier | None) -> Chosen:
    """Prepare what the name asks for; close what cannot be had or is too weak."""
    preferred, fallback = WANTED[name]
    trouble: dict[str, str] = {}
    ready = await _ready([made[one] for one in preferred], floor, trouble)
    if not ready:
        ready = await _ready([made[one] for one in fallback], floor, trouble)
    needed = NEEDED.get(name)
    if not ready or (needed in trouble and made[needed].tier.reaches(floor)):
        await _close(ready)
        raise RuntimeUnavailableError(_reason(trouble, floor))
    tiers = [await _status(tier, one, ready, trouble, name) for tier, one in TIERS.items()]
    return Chosen(tuple(ready), _detail(name, ready[0], preferred, trouble), tuple(tiers))


async def _ready(
    wanted: Sequence[Runtime], floor: Tier | None, trouble: dict[str, str]
) -> list[Runtime]:
    """Those that could be prepared; for the others `trouble` says why not."""
    ready: list[Runtime] = []
    try:
        for runtime in wanted:
            if not runtime.tier.reaches(floor):
                trouble[runtime.name] = f"{runtime.tier} is weaker than this installation's floor"
                continue
            try:
                await _prepare(runtime)
            except RuntimeUnavailableError as error:
                trouble[runtime.name] = str(error)
            else:
                ready.append(runtime)
    except BaseException:
        await _close(ready)
        raise
    return ready


async def _prepare(runtime: Runtime) -> None:
    try:
        await runtime.prepare()
    except BaseException:
        await runtime.close()
        raise


async def _close(runtimes: Sequence[Runtime]) -> None:
    for runtime in runtimes:
        await runtime.close()


def _reason(trouble: dict[str, str], floor: Tier | None) -> str:
    reasons = "; ".join(dict.fromkeys(trouble.values()))
    return reasons if floor is None else f"no tier reaches the floor {floor}: {reasons}"


def _detail(name: str, default: Runtime, preferred: Sequence[str], trouble: dict[str, str]) -> str:
    if name != "auto":
        return f"{default.name}, as the settings say"
    first = preferred[0]
    if default.name == first:
        return f"{default.name} answers"
    return f"{default.name}, because {trouble.get(first, f'{first} is missing')}"


async def _status(
    tier: Tier, runtime: str, ready: Sequence[Runtime], trouble: dict[str, str], name: str
) -> TierStatus:
    """One tier of this machine, with what its runtime cannot do here."""
    if not runtime:
        return TierStatus(tier, runtime, False, NO_VM)
    for one in ready:
        if one.name == runtime:
            try:
                missing = await one.check()
            except RuntimeUnavailableError as error:
                return TierStatus(tier, runtime, False, str(error))
            return TierStatus(tier, runtime, True, "ready", missing)
    return TierStatus(tier, runtime, False, trouble.get(runtime, f"not used with {name}"))

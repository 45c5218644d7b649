"""From the name in the settings to a runtime that is ready to launch."""

from dataclasses import dataclass
from pathlib import Path

from sandbox.runtimes.base import Runtime, RuntimeUnavailableError
from sandbox.runtimes.bubblewrap import BubblewrapRuntime
from sandbox.runtimes.docker import DockerRuntime
from sandbox.runtimes.image import DEFAULT_BASE

NAMES = ("auto", "docker", "bubblewrap")


@dataclass(frozen=True, slots=True)
class Chosen:
    """A prepared runtime, and in words why it is this one."""

    runtime: Runtime
    detail: str


async def choose(
    name: str, data_dir: Path, installation: str, *, base_image: str = DEFAULT_BASE
) -> Chosen:
    """The named runtime, prepared; a named one that cannot be had is never replaced.

    `auto` takes docker when an engine answers and the image can be made, else bubblewrap.
    Raises RuntimeUnavailableError with what to do.
    """
    docker = DockerRuntime(data_dir, installation, base_image=base_image)
    bubblewrap = BubblewrapRuntime(data_dir, installation)
    match name:
        case "docker":
            return await _prepared(docker, "docker, as the settings say")
        case "bubblewrap":
            return await _prepared(bubblewrap, "bubblewrap, as the settings say")
        case "auto":
            return await first_of(docker, bubblewrap)
    raise ValueError(f"unknown runtime {name!r}; there are {', '.join(NAMES)}")


async def first_of(preferred: Runtime, fallback: Runtime) -> Chosen:
    """The preferred runtime, or the other one with the reason why."""
    try:
        return await _prepared(preferred, f"{preferred.name} answers")
    except RuntimeUnavailableError as error:
        reason = str(error)
    try:
        return await _prepared(fallback, f"{fallback.name}, because {reason}")
    except RuntimeUnavailableError as error:
        raise RuntimeUnavailableError(f"{reason}; {error}") from error


async def _prepared(runtime: Runtime, detail: str) -> Chosen:
    try:
        await runtime.prepare()
    except BaseException:
        await runtime.close()
        raise
    return Chosen(runtime, detail)

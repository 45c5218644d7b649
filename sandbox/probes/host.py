"""Tries everything on every tier of this machine, and takes away what it made for that."""

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from sandbox.probes.cell import CellError
from sandbox.probes.escape import HOGS, Progress, examine
from sandbox.probes.report import TierReport, report
from sandbox.runtimes.base import Runtime, RuntimeUnavailableError
from sandbox.runtimes.bubblewrap import BubblewrapRuntime
from sandbox.runtimes.docker import DockerRuntime
from sandbox.runtimes.docker_flavours import GVISOR, RUNC
from sandbox.runtimes.image_list import remove_images_but, runner_images
from sandbox.types import Tier

NO_VM = "no runtime of this version starts virtual machines"
TIER_SECONDS = 900.0


async def examine_host(
    data_dir: Path, base_image: str, progress: Progress, hogs: tuple[str, ...] = HOGS
) -> list[TierReport]:
    """A report for each tier, the strongest first. What a tier lacks here is said, not raised.

    The runner root below `data_dir` is used when it is there; else one is made and removed.
    """

    reports = [TierReport(Tier.VM, "", NO_VM)]
    async with _workshop(data_dir) as (home, folder):
        installation = f"escape-{secrets.token_hex(6)}"
        for runtime in _runtimes(home, installation, base_image):
            progress(f"{runtime.tier}: getting ready")
            reports.append(await _try(runtime, folder, installation, progress, hogs))
    return reports


def _runtimes(home: Path, installation: str, base_image: str) -> Sequence[Runtime]:
    return (
        DockerRuntime(home, installation, base_image=base_image, flavour=GVISOR),
        DockerRuntime(home, installation, base_image=base_image, flavour=RUNC),
        BubblewrapRuntime(home, installation),
    )


async def _try(
    runtime: Runtime,
    folder: Path,
    installation: str,
    progress: Progress,
    hogs: tuple[str, ...],
) -> TierReport:
    try:
        try:
            await runtime.prepare()
            missing = await runtime.check()
            async with asyncio.timeout(TIER_SECONDS):
                seen = await examine(
                    runtime,
                    folder,
                    installation,
                    hogs=hogs,
                    progress=lambda what: progress(f"{runtime.tier}: {what}"),
                )
        finally:
            await runtime.close()
    except RuntimeUnavailableError as error:
        return TierReport(runtime.tier, runtime.name, str(error))
    except (CellError, TimeoutError) as error:
        return TierReport(runtime.tier, runtime.name, f"it could not be tried: {error}")
    return report(runtime.tier, runtime.name, seen, missing)


@asynccontextmanager
async def _workshop(data_dir: Path) -> AsyncIterator[tuple[Path, Path]]:
    """Where the runner root is or will be, and a short path for sockets."""
    before = await asyncio.to_thread(runner_images)
    made = await asyncio.to_thread(_new_folder)
    home = data_dir if await asyncio.to_thread((data_dir / "runner").is_dir) else made
    try:
        yield home, made / "run"
    finally:
        await asyncio.to_thread(remove_images_but, before)
        await asyncio.to_thread(shutil.rmtree, made, ignore_errors=True)


def _new_folder() -> Path:
    """Users of sandboxes pass through it to their own control folders, and see nothing else."""
    made = Path(tempfile.mkdtemp(prefix="sge-"))
    made.chmod(0o711)
    (made / "run").mkdir(mode=0o755)
    return made

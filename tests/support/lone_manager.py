"""Launches one sandbox in a process of its own, says so, and waits to be killed."""

import asyncio
import sys
from pathlib import Path

from sandbox.runtimes.base import Runtime
from sandbox.runtimes.bubblewrap import BubblewrapRuntime
from sandbox.runtimes.docker import DockerRuntime
from sandbox.runtimes.root import RunnerRoot
from tests.support.blanks import launched
from tests.support.runtimes import FLAVOURS


async def main(name: str, installation: str, folder: str, root: str, state: str) -> None:
    """Arguments as the test gives them; `state` is `running` or `frozen`."""
    runner_root = RunnerRoot(Path(root), Path(root).name)
    runtime: Runtime
    if name in FLAVOURS:
        flavour = FLAVOURS[name]
        runtime = DockerRuntime(Path(folder), installation, root=runner_root, flavour=flavour)
    else:
        runtime = BubblewrapRuntime(Path(folder), installation, root=runner_root)
    await runtime.prepare()
    async with launched(runtime, Path(folder), installation) as blank:
        if state == "frozen":
            await blank.handle.freeze()
        print("launched", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

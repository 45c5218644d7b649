"""Runs every probe on one runtime, beside a neighbour that has to go on answering."""

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.probes.cell import Cell, CellError, End, cell
from sandbox.runtimes.base import Runtime, RuntimeUnavailableError
from sandbox.runtimes.identity import uid_of

HERE = Path(__file__).parent
SECRET = "SANDGATE_PROBE_SECRET"  # noqa: S105 - the name of a variable
PULSE_SECONDS = 0.05
AT_ONCE = 3
HOG_CPU_SECONDS = 1.5
HOG_SECONDS = 25.0
END_SECONDS = 12.0
GONE_SECONDS = 10.0
LOOKS = (
    "leftovers", "status", "variables", "processes", "descriptors", "chance", "calls", "compat",
    "families", "terminal", "supervisor", "writes", "control", "nodes", "kernel_files",
    "host_facts", "files", "network", "engine_sockets",
)  # fmt: skip
HOGS = (
    "forks", "threads", "zombies", "heap", "mapping", "memory_files", "pipes", "sockets", "tmp",
    "shared", "names", "sparse", "deep", "descriptors", "watchers", "spin", "spin-loop",
    "stubborn", "flood", "endless_line", "kill_app", "kill_all",
)  # fmt: skip
# milliseconds; the others are ended by what they use up
DEADLINES = {"spin-loop": 3000}

Json = dict[str, Any]
Progress = Callable[[str], None]


@dataclass(slots=True)
class Pulse:
    """How a neighbour answered while something happened."""

    calls: int = 0
    failed: int = 0
    slowest: float = 0.0

    def to_json(self) -> Json:
        """Plain JSON form."""
        return {"calls": self.calls, "failed": self.failed, "slowest": round(self.slowest, 3)}


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything that was seen of one runtime, by the name of the probe."""

    looks: dict[str, Any] = field(default_factory=dict)
    hogs: dict[str, Json] = field(default_factory=dict)

    def to_json(self) -> Json:
        """Plain JSON form."""
        return {"looks": self.looks, "hogs": self.hogs}


async def examine(
    runtime: Runtime,
    folder: Path,
    installation: str,
    *,
    hogs: tuple[str, ...] = HOGS,
    progress: Progress = lambda _: None,
) -> Seen:
    """Try everything. Raises CellError or RuntimeUnavailableError when nothing can be tried."""
    inside, greedy = (HERE / "inside.py").read_text(), (HERE / "greedy.py").read_text()
    mark = f"neighbour-{secrets.token_hex(8)}"
    seen = Seen()
    async with cell(runtime, folder, installation, inside) as neighbour:
        await neighbour.get(f"/mark?text={mark}")
        progress("looking around")
        seen.looks.update(await _look(runtime, folder, installation, inside, mark))
        other = await _asked(neighbour, "/probe/chance")
        seen.looks["chance"] = {"own": seen.looks["chance"], "other": other}
        seen.looks["neighbour"] = await _asked(neighbour, "/alive")
        room = asyncio.Semaphore(AT_ONCE)

        async def hog(name: str) -> None:
            async with room:
                progress(name)
                seen.hogs[name] = await _hog(runtime, folder, installation, greedy, neighbour, name)

        async with asyncio.TaskGroup() as group:
            for name in hogs:
                group.create_task(hog(name))
    return seen


async def _look(
    runtime: Runtime, folder: Path, installation: str, code: str, mark: str
) -> dict[str, Any]:
    """Every look, in as few sandboxes as it takes: a probe may be the end of the one it is in."""
    targets = {name: f"/probe/{name}" for name in LOOKS} | {"search": f"/search?text={mark}"}
    found: dict[str, Any] = {}
    while len(found) < len(targets):
        # the secret is in the memory of the code alone, so any find of it is a leak
        async with cell(runtime, folder, installation, code, {SECRET: mark}) as one:
            for name in [name for name in targets if name not in found]:
                found[name] = await _asked(one, targets[name])
                if await _asked(one, "/alive") != "alive":
                    end = await one.ended(END_SECONDS)
                    found[name] = {"ended": end.reason if end else "it answers no more"}
                    break
    return found


async def _asked(one: Cell, target: str) -> Any:
    try:
        return await one.get(target)
    except CellError as error:
        return {"failed": str(error)}


async def _hog(
    runtime: Runtime, folder: Path, installation: str, code: str, neighbour: Cell, name: str
) -> Json:
    """One greedy sandbox from its start until nothing of it is left."""
    path = f"/{name}" if name in ("spin-loop",) else f"/hog/{name}"
    answer: Any = None
    end: End | None = None
    async with _watched(neighbour) as pulse:
        async with cell(runtime, folder, installation, code, cpu_seconds=HOG_CPU_SECONDS) as one:
            with contextlib.suppress(CellError):
                answer = await one.get(path, HOG_SECONDS, DEADLINES.get(name, 0))
            # one that answered may go on; one that did not has to end
            end = await one.ended(END_SECONDS if answer is None else 0.2)
            alive = None if end is not None else await _asked(one, "/alive")
        left = await _left(runtime, installation, one.sandbox_id)
    return {
        "answer": answer,
        "end": None if end is None else {"end": end.end, "reason": end.reason},
        "alive": alive == "alive",
        "lines": one.lines,
        "left": left,
        "neighbour": pulse.to_json(),
    }


@asynccontextmanager
async def _watched(neighbour: Cell) -> AsyncIterator[Pulse]:
    """Ask a neighbour again and again."""
    pulse = Pulse()

    async def watch() -> None:
        while True:
            began = time.monotonic()
            pulse.calls += 1
            if await _asked(neighbour, "/alive") != "alive":
                pulse.failed += 1
            pulse.slowest = max(pulse.slowest, time.monotonic() - began)
            await asyncio.sleep(PULSE_SECONDS)

    task = asyncio.create_task(watch())
    try:
        yield pulse
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _left(runtime: Runtime, installation: str, sandbox_id: str) -> list[str]:
    """What is still there of a destroyed sandbox after a while."""
    deadline = time.monotonic() + GONE_SECONDS
    while True:
        left = [f"process {pid}" for pid in await asyncio.to_thread(_processes, sandbox_id)]
        with contextlib.suppress(RuntimeUnavailableError):
            found = await runtime.find(installation)
            left += [f"sandbox {one.sandbox_id}" for one in found if one.sandbox_id == sandbox_id]
        if not left or time.monotonic() > deadline:
            return left
        await asyncio.sleep(0.05)


def _processes(sandbox_id: str) -> list[int]:
    """Of the user that no other sandbox has; only root starts sandboxes as other users."""
    if os.geteuid() != 0:
        return []
    uid, found = uid_of(sandbox_id), []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):  # ended meanwhile
                if os.stat(f"/proc/{name}").st_uid == uid:
                    found.append(int(name))
    return found

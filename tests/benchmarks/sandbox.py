"""`make bench-sandbox`: how soon code runs, what a sandbox costs, what is left of many of them.

Times are wall clock through the manager's socket, as the gateway sees them: from the request
for a sandbox to the first byte of the app's own first answer.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

from sandbox.types import SandboxError
from tests.benchmarks import manager_under_test as bench
from tests.benchmarks import neighbours as beside
from tests.benchmarks.manager_under_test import UnderTest, under_test
from tests.support import residue

POOL = ("--blanks", "3", "--max", "200")
NO_POOL = ("--blanks", "0", "--max", "200")
_SETTLE_SECONDS = 30.0
MANY = ("--blanks", "4", "--max", "200", "--tenant-max", "200")


@dataclass(frozen=True, slots=True)
class Row:
    """One thing measured on one runtime."""

    runtime: str
    what: str
    unit: str
    count: int
    p50: float
    p99: float
    bar: str
    held: bool


def of_times(runtime: str, what: str, seconds: Sequence[float], p50: float, p99: float) -> Row:
    """A row of latencies against their bars, in milliseconds; a bar of 0 is none."""
    ordered = sorted(one * 1000 for one in seconds)
    middle, high = statistics.median(ordered), ordered[int(len(ordered) * 0.99)]
    bars = [f"p50 ≤ {p50:g}"] * bool(p50) + [f"p99 ≤ {p99:g}"] * bool(p99)
    held = (not p50 or middle <= p50) and (not p99 or high <= p99)
    return Row(runtime, what, "ms", len(ordered), middle, high, ", ".join(bars), held)


async def claims(runtime: str, data_dir: Path, count: int) -> list[Row]:
    """Warm: a blank waits, the code comes with environment, secrets and egress."""
    times, memory = [], 0.0
    async with under_test(runtime, data_dir, *POOL) as it:
        for number in range(count + 5):
            await bench.until_status(it, "blank", 3)
            took, sandbox_id = await _claim(it)
            if number >= 5:
                times.append(took)
            if number == 5:
                memory = bench.private_mb(sandbox_id)
            await it.client.retire(sandbox_id)
    hello = Row(runtime, "private memory of a hello API", "MB", 1, memory, memory, "≤ 40",
                0 < memory <= 40)  # fmt: skip
    return [of_times(runtime, "claim from the pool → first byte", times, 15, 50), hello]


async def _claim(it: UnderTest) -> tuple[float, str]:
    bundle, spec = bench.full_bundle(), bench.new_spec()
    begin = time.perf_counter()
    lease = await it.client.acquire(spec, bundle)
    await bench.first_byte(lease)
    return time.perf_counter() - begin, lease.sandbox_id


async def cold(runtime: str, data_dir: Path, count: int) -> list[Row]:
    """No pool at all: the engine starts a sandbox for this very request."""
    times = []
    async with under_test(runtime, data_dir, *NO_POOL) as it:
        for _ in range(count):
            took, sandbox_id = await _claim(it)
            times.append(took)
            await it.client.retire(sandbox_id)
    return [of_times(runtime, "no pool → first byte", times, 600, 0)]


async def thaws(runtime: str, data_dir: Path, count: int) -> list[Row]:
    """A frozen one is asked for: until it may be called again, and until it answers."""
    ready, answered = [], []
    async with under_test(runtime, data_dir, *POOL, "--lease-seconds", "1") as it:
        spec = bench.new_spec()
        lease = await it.client.acquire(spec, bench.full_bundle())
        for _ in range(count):
            await bench.until_status(it, "frozen")
            begin = time.perf_counter()
            found = await it.client.find(spec)
            ready.append(time.perf_counter() - begin)
            assert found is not None
            assert found.sandbox_id == lease.sandbox_id
            await bench.first_byte(found)
            answered.append(time.perf_counter() - begin)
    return [
        of_times(runtime, "thaw", ready, 12, 0),
        of_times(runtime, "thaw → first byte", answered, 0, 0),
    ]


async def crowd(runtime: str, data_dir: Path, count: int) -> list[Row]:
    """Many different cold APIs asked for at the same moment, and a manager that has them all."""
    async with under_test(runtime, data_dir, *MANY) as it:
        await bench.until_status(it, "blank", 2)
        begin = time.perf_counter()
        outcomes = await asyncio.gather(*(_claim(it) for _ in range(count)), return_exceptions=True)
        took = time.perf_counter() - begin
        failed = [one for one in outcomes if isinstance(one, SandboxError | OSError | RuntimeError)]
        times = [one[0] for one in outcomes if isinstance(one, tuple)]
        for one in failed[:3]:
            print(f"  failed: {one}", file=sys.stderr)
        await asyncio.gather(*(_claim(it) for _ in range(100 - count)))
        memory = it.rss_mb()
    row = of_times(runtime, f"{count} cold APIs at once ({took:.1f} s in all)", times, 0, 0)
    return [
        Row(**{**asdict(row), "bar": "none fails", "held": not failed}),
        Row(
            runtime,
            "manager with 100 sandboxes",
            "MB",
            1,
            memory,
            memory,
            "≤ 80",
            memory <= 80,
        ),
    ]


async def churn(runtime: str, data_dir: Path, count: int) -> list[Row]:
    """Start and stop again and again: nothing stays, nothing grows."""
    async with under_test(runtime, data_dir, *POOL) as it:
        for _ in range(20):
            await it.client.retire((await _claim(it))[1])
        await bench.until_status(it, "blank", 3)
        before, open_before = it.rss_mb(), it.descriptors()
        for number in range(1, count + 1):
            await it.client.retire((await _claim(it))[1])
            if number % 100 == 0:
                grown, opened = it.rss_mb() - before, it.descriptors() - open_before
                print(f"  {runtime}: {number} cycles, {grown:+.1f} MB, {opened:+d} descriptors",
                      file=sys.stderr, flush=True)  # fmt: skip
        await bench.until_status(it, "blank", 3)
        grown, opened = it.rss_mb() - before, it.descriptors() - open_before
        left = await _beyond_blanks(it)
    left += residue.containers(it.installation) + residue.cgroups(it.installation)
    left += residue.processes(it.run_dir)
    mounted = Path("/proc/self/mountinfo").read_text().splitlines()
    left += [line for line in mounted if str(it.run_dir) in line]
    for one in left:
        print(f"  {runtime}: left {one}", file=sys.stderr)
    return [
        Row(runtime, f"manager grew over {count} cycles", "MB", count, grown, grown, "≤ 8",
            grown <= 8),
        Row(runtime, f"descriptors after {count} cycles", "", count, opened, opened, "≤ 4",
            opened <= 4),
        Row(runtime, f"left behind after {count} cycles", "", count, len(left), len(left), "0",
            not left),
    ]  # fmt: skip


async def _beyond_blanks(it: UnderTest) -> list[str]:
    """What is there after a while and belongs to no sandbox that the manager has."""
    until = time.monotonic() + _SETTLE_SECONDS
    while (left := await _unknown(it)) and time.monotonic() < until:
        await asyncio.sleep(0.5)
    return left


async def _unknown(it: UnderTest) -> list[str]:
    known = {one.sandbox_id for one in (await it.client.status()).sandboxes}
    states = [str(path) for path in (it.run_dir / "state").iterdir()]
    left = [
        path
        for path in residue.sockets(it.run_dir) + residue.cgroups(it.installation) + states
        if not any(sandbox_id in path for sandbox_id in known)
    ]
    containers = residue.containers(it.installation)
    return left + containers[len(known) :]


async def neighbours(runtime: str, _: Path, seconds: int) -> list[Row]:
    """One API is called steadily while another one does all it can to disturb it."""
    found = await beside.measure(runtime, seconds)
    middle, high = beside.typical(found)
    alone = sum(len(turn) for each in found for turn in each.alone)
    rows = [Row(runtime, "call through the gateway, nobody else", "ms", alone, middle, high, "",
                held=True)]  # fmt: skip
    for each in found:
        high = each.ratio(0.99)
        rows.append(
            Row(runtime, f"… over that while another {beside.MISDEEDS[each.misdeed]}", "×",
                sum(map(len, each.beside)), each.ratio(0.5), high, f"p99 ≤ {beside.BAR:g}",
                high <= beside.BAR)
        )  # fmt: skip
    return rows


def peer(count: int) -> list[Row]:
    """What one pays without a manager: the engine's own `run` of the same image and app."""
    listed = subprocess.run(
        ["docker", "images", "-q", "sandgate-runner"], capture_output=True, text=True, check=False
    ).stdout.split()
    if not listed:
        return []
    times = []
    for _ in range(count):
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            os.chmod(folder, 0o777)
            times.append(_plain_run(listed[0], Path(folder)))
    return [of_times("docker run", "same image, no manager → first byte", times, 0, 0)]


def _plain_run(image: str, folder: Path) -> float:
    program = f"{bench.HELLO}\nimport uvicorn\nuvicorn.run(app, uds='/s/app.sock')\n"
    arguments = ["--network", "none", "-v", f"{folder}:/s", "--entrypoint", "/python/bin/python3"]
    begin = time.perf_counter()
    process = subprocess.Popen(
        ["docker", "run", "--rm", *arguments, image, "-I", "-c", program],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        asyncio.run(_answered(folder / "app.sock"))
        return time.perf_counter() - begin
    finally:
        process.terminate()
        process.wait(30)


async def _answered(path: Path) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(path)
            except OSError:
                await asyncio.sleep(0.002)
                continue
            writer.write(bench.REQUEST)
            await reader.readexactly(12)
            writer.transport.abort()
            return


def show(row: Row) -> None:
    """One line of the table."""
    print(
        f"| {row.runtime:<10} | {row.what:<44} | {row.p50:>7.1f} | {row.p99:>7.1f} "
        f"| {row.unit:<2} | {row.count:>4} | {row.bar:<20} | {'yes' if row.held else 'NO':<4} |",
        flush=True,
    )


PLANS = {
    "claims": claims,
    "cold": cold,
    "thaws": thaws,
    "crowd": crowd,
    "churn": churn,
    "neighbours": neighbours,
}


def options() -> argparse.ArgumentParser:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runtime", action="append", choices=["docker", "bubblewrap", "gvisor"])
    parser.add_argument("--claims", type=int, default=200)
    parser.add_argument("--cold", type=int, default=20)
    parser.add_argument("--thaws", type=int, default=30)
    parser.add_argument("--crowd", type=int, default=50)
    parser.add_argument("--cycles", dest="churn", type=int, default=500)
    parser.add_argument(
        "--neighbour-seconds", dest="neighbours", type=int, default=20, help="for each misdeed"
    )
    parser.add_argument("--only", action="append", choices=[*PLANS, "peer"], default=[])
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--output", type=Path)
    return parser


def main() -> None:
    """Print a table; with --output write JSON too. --strict fails when a bar is missed."""
    chosen = options().parse_args()
    found: list[Row] = []
    print("| runtime    | what" + " " * 41 + "|     p50 |     p99 |    |    n | bar"
          + " " * 18 + "| held |")  # fmt: skip
    with tempfile.TemporaryDirectory() as data_dir:
        for runtime in chosen.runtime or ["docker", "bubblewrap"]:
            for name, measure in PLANS.items():
                count = getattr(chosen, name)
                if count and (not chosen.only or name in chosen.only):
                    for row in uvloop.run(measure(runtime, Path(data_dir), count)):
                        show(row)
                        found.append(row)
        if not chosen.only or "peer" in chosen.only:
            for row in peer(min(chosen.cold, 10)):
                show(row)
                found.append(row)
    if chosen.output:
        chosen.output.write_text(json.dumps([asdict(row) for row in found], indent=2) + "\n")
    sys.exit(1 if chosen.strict and not all(row.held for row in found) else 0)


if __name__ == "__main__":
    main()

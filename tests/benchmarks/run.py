"""`make bench`: what a call costs through the gateway and through its peers, in one run.

Calls per second depend on the machine and its neighbours; CPU per call (user + system of all
processes of the proxy over calls answered) and the ratios are what to compare.
docs/benchmarks.md tells what each section does.
"""

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import latency, many, streams, throughput, websockets, workers
from tests.benchmarks.peers import PEERS
from tests.benchmarks.processes import Cores
from tests.benchmarks.rig import Rig, rig_folder
from tests.benchmarks.table import Report

SECTIONS: dict[str, Callable[[Rig, Report], None]] = {
    "throughput": throughput.measure,
    "latency": latency.measure,
    "workers": workers.measure,
    "streams": streams.measure,
    "websockets": websockets.measure,
    "many": many.measure,
}
SIZES = ("megabytes", "websockets", "apis", "keys")


def options() -> argparse.ArgumentParser:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=9, help="of load per way and table")
    parser.add_argument("--rounds", type=int, default=3, help="in how many turns these are taken")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--only", action="append", choices=sorted(SECTIONS), default=[])
    parser.add_argument("--peers", help=f"comma separated, of {', '.join(PEERS)}; empty: none")
    parser.add_argument("--runtime", default="auto", choices=["auto", "docker", "bubblewrap"])
    parser.add_argument("--megabytes", type=int, default=1000, help="each way, for streams")
    parser.add_argument("--websockets", type=int, default=2000)
    parser.add_argument("--apis", type=int, default=10_000)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument(
        "--no-pin", action="store_true", help="let the kernel choose the cores everywhere"
    )
    parser.add_argument("--strict", action="store_true", help="fail when a bar is missed")
    parser.add_argument("--output", type=Path, help="write JSON too")
    return parser


def chosen_peers(text: str | None) -> tuple[str, ...]:
    """Names of peers; an unknown one is an error."""
    if text is None:
        return tuple(PEERS)
    names = tuple(name for name in text.split(",") if name)
    unknown = set(names) - set(PEERS)
    if unknown:
        sys.exit(f"no such peer: {', '.join(sorted(unknown))}")
    return names


def attempt(name: str, measure: Callable[[Rig, Report], None], rig: Rig, report: Report) -> None:
    """One section; when it breaks, the others are measured all the same and the run fails."""
    try:
        measure(rig, report)
    except Exception as error:
        traceback.print_exc()
        report.broke(f"{name}: {error}")


def main() -> None:
    """Run the sections, print, write, judge."""
    chosen = options().parse_args()
    report = Report()
    with rig_folder() as folder:
        rig = Rig(
            seconds=chosen.seconds,
            rounds=max(1, min(chosen.rounds, round(chosen.seconds))),
            connections=chosen.connections,
            peers=chosen_peers(chosen.peers),
            runtime=chosen.runtime,
            cores=Cores(not chosen.no_pin),
            folder=folder,
            sizes={name: getattr(chosen, name) for name in SIZES},
        )
        for name, measure in SECTIONS.items():
            if not chosen.only or name in chosen.only:
                begin = time.monotonic()
                attempt(name, measure, rig, report)
                print(f"  {name}: {time.monotonic() - begin:.0f} s", flush=True)
    report.finish()
    if chosen.output:
        report.write(chosen.output, sys.argv[1:])
    missed = chosen.strict and not all(bar.held for bar in report.bars)
    sys.exit(1 if missed or report.broken else 0)


if __name__ == "__main__":
    main()

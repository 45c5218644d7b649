"""What the gateway adds to one call at a time: the same client to the sandbox and through it."""

from statistics import median

import uvloop

from tests.benchmarks import apps
from tests.benchmarks.load import Outcome, Target, load
from tests.benchmarks.rig import Deployed, Rig
from tests.benchmarks.table import Bar, Report, Row

_SECTION = "one connection, one call at a time (client in Python, bare ASGI app)"


def request(path: str, key: str | None) -> bytes:
    """The bytes of one call."""
    lines = [f"GET {path} HTTP/1.1", "Host: bench.test", "Accept: */*"]
    if key:
        lines.append(f"X-API-Key: {key}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def targets(deployed: Deployed) -> dict[str, Target]:
    """Straight to the sandbox's socket, and through the gateway."""
    through = request(deployed.path, deployed.key)
    return {
        "direct": Target(request("/", None), unix=deployed.unix),
        "Sandgate": Target(through, host="127.0.0.1", port=deployed.port),
    }


def measure(rig: Rig, report: Report) -> None:
    """In turns, twice as many as the rounds, because single calls feel every neighbour."""
    with rig.ours() as made:
        deployed = rig.deploy(made, "latency", apps.BARE)
        rig.pin(made)
        p50, p99 = in_turns(targets(deployed), 2 * rig.rounds, rig.seconds / rig.rounds / 2)
    for way, values in p50.items():
        row = {"p50 ms": round(median(values), 3), "p99 ms": round(median(p99[way]), 3)}
        report.add(Row(_SECTION, way, dict(row)))
    added_p50 = median(p50["Sandgate"]) - median(p50["direct"])
    added_p99 = median(p99["Sandgate"]) - median(p99["direct"])
    report.judge(
        Bar("added latency at one connection, p50 ms", added_p50, 0.25),
        Bar("added latency at one connection, p99 ms", added_p99, 1.0),
    )


Figures = dict[str, list[float]]


def in_turns(ways: dict[str, Target], rounds: int, seconds: float) -> tuple[Figures, Figures]:
    """Medians and 99th percentiles of every round by way."""
    p50: Figures = {way: [] for way in ways}
    p99: Figures = {way: [] for way in ways}
    for target in ways.values():
        uvloop.run(load(target, 1, 0.5))
    for _ in range(rounds):
        for way, target in ways.items():
            outcome = uvloop.run(load(target, 1, seconds))
            require_all_good(way, outcome)
            p50[way].append(outcome.percentile_ms(0.5))
            p99[way].append(outcome.percentile_ms(0.99))
    return p50, p99


def require_all_good(way: str, outcome: Outcome) -> None:
    """A refused call is fast and means nothing."""
    if outcome.broken or set(outcome.statuses) != {200}:
        raise RuntimeError(f"{way}: {outcome.statuses}, broken {outcome.broken}")

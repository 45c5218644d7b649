"""Calls per second and CPU per call of every proxy before the same sandbox, in turns.

Nothing is pinned: with the proxy alone on one of two cores, what answers more calls would wait
for the load, the sandbox and the stores on the other, and the slower proxies would not.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median

from tests.benchmarks import apps, wrk
from tests.benchmarks.peers import PEERS, Setting
from tests.benchmarks.processes import Cores, cpu_seconds, family
from tests.benchmarks.rig import Deployed, Redis, Rig, gateway_pids, knows_redis
from tests.benchmarks.table import Bar, Report, Row
from tests.benchmarks.wrk import Load
from tests.support.installation import Installation

MEMORY, REDIS = "Sandgate", "Sandgate, limits in Redis"
UPSTREAMS = {"bare ASGI": apps.BARE, "FastAPI": apps.FASTAPI}
_SECTION = "before a {upstream} app, {connections} connections"


@dataclass(slots=True)
class Way:
    """One proxy in front of one app, and what was measured in each round."""

    name: str
    url: str
    key: str
    pids: list[int]
    loads: list[Load] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)

    def measure(self, rig: Rig, connections: int, seconds: float) -> None:
        """One round."""
        before = cpu_seconds(self.pids)
        load = wrk.load(self.url, self.key, connections, seconds, rig.cores)
        used = cpu_seconds(self.pids) - before
        self.loads.append(load)
        self.cpu_us.append(used / max(1, load.calls) * 1e6)

    def row(self, section: str) -> Row:
        """The medians of all rounds."""
        return Row(section, self.name, {
            "calls/s": round(median(load.calls_per_second for load in self.loads), 1),
            "p50 ms": round(median(load.p50_ms for load in self.loads), 3),
            "p99 ms": round(median(load.p99_ms for load in self.loads), 3),
            "CPU us/call": round(median(self.cpu_us), 1),
            "failed": sum(load.failed for load in self.loads),
        })  # fmt: skip


def measure(rig: Rig, report: Report) -> None:
    """Every way before every app."""
    reason = wrk.missing()
    if reason:
        report.note(f"throughput: {reason}")
        return
    rig = rig.with_cores(Cores(False))
    with ExitStack() as stack:
        redis = stack.enter_context(rig.redis())
        made = stack.enter_context(rig.ours())
        shared = _shared(rig, report, stack, redis)
        for upstream, code in UPSTREAMS.items():
            _before_one_app(rig, report, redis, made, shared, upstream, code)


def _shared(rig: Rig, report: Report, stack: ExitStack, redis: Redis) -> Installation | None:
    """The installation whose limits are in Redis."""
    if not knows_redis():
        report.note(f"{REDIS}: there is no REDIS_URL yet")
        return None
    return stack.enter_context(rig.ours(REDIS_URL=redis.url))


def _before_one_app(
    rig: Rig,
    report: Report,
    redis: Redis,
    made: Installation,
    shared: Installation | None,
    upstream: str,
    code: str,
) -> None:
    slug = upstream.lower().replace(" ", "-")
    deployed = rig.deploy(made, slug, code)
    with ExitStack() as stack:
        ways = [_our_way(MEMORY, deployed)]
        if shared is not None:
            ways.append(_our_way(REDIS, rig.deploy(shared, slug, code)))
        ways += stack.enter_context(_peers(rig, report, redis, deployed))
        for connections in (rig.connections, 1):
            section = _SECTION.format(upstream=upstream, connections=connections)
            rows = rounds(rig, ways, section, connections)
            report.add(*rows)
            for row in rows:
                if row.way in (MEMORY, REDIS) and row.values["failed"]:
                    report.broke(f"{row.way}, {section}: {row.values['failed']} calls failed")
            if connections > 1 and upstream == "bare ASGI":
                report.judge(*bars(rows))


def _our_way(name: str, deployed: Deployed) -> Way:
    return Way(name, deployed.url, deployed.key, gateway_pids(deployed.made))


@contextmanager
def _peers(rig: Rig, report: Report, redis: Redis, deployed: Deployed) -> Iterator[list[Way]]:
    """Every peer that can run here, started and pinned."""
    setting = Setting(deployed.unix, deployed.key, redis, rig.folder)
    ways: list[Way] = []
    with ExitStack() as stack:
        for short in rig.peers:
            peer = PEERS[short]
            reason = peer.missing(rig.folder)
            if reason:
                report.note(f"{peer.name}: {reason}")
                continue
            port, pid = stack.enter_context(peer.running(setting))
            url = f"http://127.0.0.1:{port}{deployed.path}"
            ways.append(Way(peer.name, url, deployed.key, family(pid)))
        yield ways


def rounds(rig: Rig, ways: list[Way], section: str, connections: int) -> list[Row]:
    """A B C A B C …: what the machine's neighbours do in between hits all alike."""
    for way in ways:
        way.loads.clear()
        way.cpu_us.clear()
        wrk.load(way.url, way.key, connections, 1, rig.cores)  # compiled, connected, cached
    for _ in range(rig.rounds):
        for way in ways:
            way.measure(rig, connections, rig.seconds / rig.rounds)
    return [way.row(section) for way in ways]


def bars(rows: list[Row]) -> list[Bar]:
    """What is promised for the bare app at many connections."""
    cpu = {row.way: float(row.values["CPU us/call"]) for row in rows}
    calls = {row.way: float(row.values["calls/s"]) for row in rows}
    peers = {peer.name for peer in PEERS.values()}
    found = []
    for ours, most in ((MEMORY, 1.5), (REDIS, 2.0)):
        if ours not in cpu:
            continue
        for name in (row.way for row in rows if row.way in peers):
            if name == "nginx + lua":
                found.append(
                    Bar(f"{ours}: CPU per call over {name}'s", cpu[ours] / cpu[name], most)
                )
            least = {"nginx + lua": 0.5, "FastAPI + httpx": 20.0}.get(name, 1.0)
            ratio = calls[ours] / calls[name]
            found.append(Bar(f"{ours}: calls/s over {name}'s", ratio, least, at_most=False))
        failed = sum(float(row.values["failed"]) for row in rows if row.way == ours)
        found.append(Bar(f"{ours}: failed calls", failed, 0))
    return found

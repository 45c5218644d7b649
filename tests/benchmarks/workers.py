"""CPU per call with one worker and with two: more of them must not cost more for the same call.

nginx is asked the same. What two workers share less is not the proxy's alone: on a machine that
is full with either number, the kernel changes between more processes, and whoever is less busy
does less at once. So one worker is also asked by half of the callers: then each worker has as
many in both cases, and what is left is what workers cost each other.
"""

from contextlib import ExitStack
from statistics import median

from gateway.settings import Settings
from tests.benchmarks import apps, wrk
from tests.benchmarks.peers import PEERS, Setting
from tests.benchmarks.processes import Cores, family
from tests.benchmarks.rig import Deployed, Redis, Rig, gateway_pids, knows_redis
from tests.benchmarks.table import Bar, Report
from tests.benchmarks.throughput import Way

_SECTION = "workers, limits in Redis, nothing pinned"
_TURNS = 5  # for one of the other sections: ratios of single turns lie far apart


def measure(rig: Rig, report: Report) -> None:
    """All at once, loaded in turns."""
    if not knows_redis() or "gateway_workers" not in Settings.model_fields:
        report.note("workers: several are not there yet")
        return
    free = rig.with_cores(Cores(False))
    with ExitStack() as stack:
        redis = stack.enter_context(free.redis())
        first, ours = _ours(free, stack, redis)
        peer = _nginx(free, report, stack, redis, first)
        _warm(free, [*ours, *peer])
        for way in peer:
            way.pids[:] = family(way.pids[0])  # its workers are there now
        half = Way(f"{ours[0].name}, half the callers", ours[0].url, ours[0].key, ours[0].pids)
        _in_turns(free, [*ours, *peer], half)
    report.add(*(way.row(_SECTION) for way in (*ours, half, *peer)))
    ratio = _ratio(ours)
    report.judge(
        Bar("CPU per call with two workers over that with one", ratio, 1.1),
        Bar("the same, at least", ratio, 0.9, at_most=False),
        Bar("the same with as many callers for each worker", _ratio([half, ours[1]]), 1.1),
    )
    if peer:
        report.judge(Bar("the same over nginx + lua's own", ratio / _ratio(peer), 1.1))


def _ours(rig: Rig, stack: ExitStack, redis: Redis) -> tuple[Deployed, list[Way]]:
    ways, every = [], []
    for number in (1, 2):
        made = stack.enter_context(rig.ours("--workers", str(number), REDIS_URL=redis.url))
        deployed = rig.deploy(made, "workers", apps.BARE)
        rig.pin(made)
        every.append(deployed)
        name = _named("Sandgate", number)
        ways.append(Way(name, deployed.url, deployed.key, gateway_pids(made)))
    return every[0], ways


def _nginx(rig: Rig, report: Report, stack: ExitStack, redis: Redis, before: Deployed) -> list[Way]:
    peer, ways = PEERS["nginx"], []
    if reason := peer.missing(rig.folder):
        report.note(f"workers, {peer.name}: {reason}")
        return []
    for number in (1, 2):
        setting = Setting(before.unix, before.key, redis, rig.folder, number)
        port, pid = stack.enter_context(peer.running(setting))
        url = f"http://127.0.0.1:{port}{before.path}"
        ways.append(Way(_named(peer.name, number), url, before.key, [pid]))
    return ways


def _named(name: str, workers: int) -> str:
    return f"{name}, {workers} worker{'s' * (workers > 1)}"


def _warm(rig: Rig, ways: list[Way]) -> None:
    for way in ways:
        wrk.load(way.url, way.key, rig.connections, 1, rig.cores)  # compiled, connected, cached


def _in_turns(rig: Rig, ways: list[Way], half: Way) -> None:
    for _ in range(rig.rounds * _TURNS):
        half.measure(rig, rig.connections // 2, 1)
        for way in ways:
            way.measure(rig, rig.connections, 1)


def _ratio(ways: list[Way]) -> float:
    """Of turns that lay side by side; the median of all."""
    one, two = ways
    return median(more / less for less, more in zip(one.cpu_us, two.cpu_us, strict=True))

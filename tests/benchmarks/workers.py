"""CPU per call with one worker and with two: more of them must not cost more for the same call.

Whoever has more callers does more at once, and so does it cheaper. So the two are compared with
one caller, and with as many callers for each worker. The same number of callers in all is told
as well: then two workers do less at once, and on a machine that is full with either number the
kernel changes between more processes, which is not the proxy's alone; nginx is asked the same.
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
_BAR = "CPU per call, 2 workers over 1"
_SAME_IN_ALL = f"{_BAR}: callers in all"
_TURNS_A_SECOND = 5 / 3  # of the seconds of other sections: single turns lie far apart


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
        half, *single = _fewer_callers(ours)
        _in_turns(free, [*ours, *peer], half, single)
    report.add(*(way.row(_SECTION) for way in (*ours, half, *single, *peer)))
    report.judge(*_bars(ours, half, single))
    ratio = _ratio(ours)
    if peer:
        own = _ratio(peer)
        report.judge(Bar(f"{_SAME_IN_ALL}, over nginx's own", ratio / own, 1.1))


def _fewer_callers(ours: list[Way]) -> list[Way]:
    """One worker with half of the callers; then each number of workers with one."""
    one, two = ours
    return [
        Way(f"{one.name}, half the callers", one.url, one.key, one.pids),
        Way(f"{one.name}, one caller", one.url, one.key, one.pids),
        Way(f"{two.name}, one caller", two.url, two.key, two.pids),
    ]


def _bars(ours: list[Way], half: Way, single: list[Way]) -> list[Bar]:
    found = []
    for name, ways in (
        (f"{_BAR}: one caller", single),
        (f"{_BAR}: callers for each", [half, ours[1]]),
        (_SAME_IN_ALL, ours),
    ):
        ratio = _ratio(ways)
        found += [Bar(name, ratio, 1.1), Bar(f"{name}, at least", ratio, 0.9, at_most=False)]
    return found


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


def _in_turns(rig: Rig, ways: list[Way], half: Way, single: list[Way]) -> None:
    for _ in range(max(1, round(rig.seconds * _TURNS_A_SECOND))):
        half.measure(rig, rig.connections // 2, 1)
        for way in ways:
            way.measure(rig, rig.connections, 1)
        for way in single:
            way.measure(rig, 1, 1)


def _ratio(ways: list[Way]) -> float:
    """Of turns that lay side by side; the median of all."""
    one, two = ways
    return median(more / less for less, more in zip(one.cpu_us, two.cpu_us, strict=True))

"""CPU per call with one worker and with two: more of them must not cost more for the same call."""

from contextlib import ExitStack

from gateway.settings import Settings
from tests.benchmarks import apps
from tests.benchmarks.processes import Cores
from tests.benchmarks.rig import Rig, gateway_pids, knows_redis
from tests.benchmarks.table import Bar, Report
from tests.benchmarks.throughput import Way, rounds

_SECTION = "workers, limits in Redis, nothing pinned"


def measure(rig: Rig, report: Report) -> None:
    """Both at once, loaded in turns."""
    if not knows_redis() or "gateway_workers" not in Settings.model_fields:
        report.note("workers: several are not there yet")
        return
    free = rig.with_cores(Cores(False))
    with ExitStack() as stack:
        redis = stack.enter_context(free.redis())
        ways = []
        for number in (1, 2):
            name = f"Sandgate, {number} worker" + "s" * (number > 1)
            made = stack.enter_context(free.ours("--workers", str(number), REDIS_URL=redis.url))
            deployed = free.deploy(made, "workers", apps.BARE)
            free.pin(made)
            ways.append(Way(name, deployed.url, deployed.key, gateway_pids(made)))
        rows = rounds(free, ways, _SECTION, free.connections)
    report.add(*rows)
    one, two = (float(row.values["CPU us/call"]) for row in rows)
    report.judge(
        Bar("CPU per call with two workers over that with one", two / one, 1.1),
        Bar("the same, at least", two / one, 0.9, at_most=False),
    )

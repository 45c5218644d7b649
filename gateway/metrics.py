"""Every Prometheus collector of the gateway, in one place; labels come from small fixed sets."""

import time
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Awaitable, Callable, Iterator, Mapping
from itertools import accumulate
from typing import Final, Literal, NamedTuple

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from gateway.deadline import within
from sandbox.types import EndReason, ManagerStatus, SandboxError, StartTimes

_log = structlog.get_logger(__name__)

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
Outcome = Literal["answered", "rejected", "failed"]
JobWay = Literal["words", "template", "batch", "idea", "retry", "edit"]

_CALL_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_START_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30)
_STATUS_SECONDS = 2.0  # for the manager's answer
_FRESH_SECONDS = 1.0  # however often somebody asks
_STATUSES = frozenset({"blank", "starting", "ready", "frozen", "stopping"})
_FAILURES = frozenset({"timeout", "lost", "flushed", "refused"})
_CODES_MAX = 64
_OTHER = "other"


def status_class(status: int) -> str:
    """`2xx` for 204; anything that is not a status is `other`."""
    return f"{status // 100}xx" if 100 <= status <= 599 else _OTHER


class CallPathNow(NamedTuple):
    """What the call path of this process holds now, and what its memory of answers has done."""

    waiting: int  # calls, for a sandbox
    websockets: int
    streams: int
    breakers: int
    cache_hits: int
    cache_misses: int
    cache_stored: int


class Metrics:
    """Counts of one process. Never label by tenant, API, key, path or anything a caller chose."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._codes: set[str] = set()
        self._waiting: dict[tuple[int, Outcome], int] = {}  # counted, and not told yet
        self._call_seconds = _CallSeconds(self._tell)
        self.registry.register(self._call_seconds)  # first, so that it is asked first
        self._calls = Counter(
            "sandgate_calls_total",
            "Calls of APIs by class of status and outcome",
            ["status_class", "outcome"],
            registry=self.registry,
        )
        self._rejects = Counter(
            "sandgate_rejects_total",
            "Calls the gateway answered itself, by problem code",
            ["code"],
            registry=self.registry,
        )
        self._control = Counter(
            "sandgate_control_requests_total",
            "Requests to the control plane by method and class of status",
            ["method", "status_class"],
            registry=self.registry,
        )
        self._control_seconds = Histogram(
            "sandgate_control_seconds",
            "Time of a request to the control plane",
            registry=self.registry,
        )
        self._start_seconds = Histogram(
            "sandgate_start_seconds",
            "Time of each phase of a start, and whether a blank was there",
            ["phase", "warm"],
            buckets=_START_BUCKETS,
            registry=self.registry,
        )
        self._limits_degraded = Gauge(
            "sandgate_limits_degraded",
            "Whether limits are decided without their shared store",
            registry=self.registry,
        )
        self._limits_failures = Counter(
            "sandgate_limits_failures_total",
            "Failures of the shared store of limits: timeout, lost, flushed, refused",
            ["reason"],
            registry=self.registry,
        )
        self._limits_alone = Counter(
            "sandgate_limits_alone_total",
            "Calls decided without the shared store of limits",
            ["admitted"],
            registry=self.registry,
        )
        self._jobs_taken = Counter(
            "sandgate_jobs_taken_total",
            "Jobs that were asked for: in words, by template, in a batch, as an idea, once more",
            ["way"],
            registry=self.registry,
        )
        self._fleet = _Fleet()
        self._fleet_until = 0.0
        self.registry.register(self._fleet)

    def call(self, status: int, outcome: Outcome, seconds: float) -> None:
        """One call ended. Half a microsecond: labels are found when somebody asks."""
        key = (status, outcome)
        self._waiting[key] = self._waiting.get(key, 0) + 1
        self._call_seconds.observe(seconds)

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for (status, outcome), count in waiting.items():
            self._calls.labels(status_class(status), outcome).inc(count)

    def reject(self, code: str) -> None:
        """The gateway answered with this problem code instead of the app."""
        self._rejects.labels(self._bounded(code)).inc()

    def limits_degraded(self, is_degraded: bool) -> None:
        """The shared store of limits went away, or is back."""
        self._limits_degraded.set(int(is_degraded))

    def limits_failed(self, reason: str) -> None:
        """The shared store of limits failed once."""
        self._limits_failures.labels(reason if reason in _FAILURES else _OTHER).inc()

    def limits_alone(self, admitted: bool) -> None:
        """A call was decided without the shared store of limits."""
        self._limits_alone.labels("yes" if admitted else "no").inc()

    def control(self, method: str, status: int, seconds: float) -> None:
        """One request to the control plane ended."""
        known = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}
        self._control.labels(method if method in known else _OTHER, status_class(status)).inc()
        self._control_seconds.observe(seconds)

    def jobs_taken(self, way: JobWay, quantity: int) -> None:
        """Somebody asked for APIs to be made."""
        self._jobs_taken.labels(way).inc(quantity)

    def started(self, times: StartTimes) -> None:
        """A sandbox was started."""
        for phase in ("queued", "claimed", "code", "ready"):
            self._start(phase, times.is_warm, getattr(times, phase))

    def first_byte(self, is_warm: bool, seconds: float) -> None:
        """A sandbox that was started has begun its first answer."""
        self._start("first_byte", is_warm, seconds)

    def follow(self, now: Callable[[], CallPathNow]) -> None:
        """From now on the call path is asked whenever somebody looks; it counts by itself."""
        self.registry.register(_CallPath(now))

    def follow_switches(self, counts: Callable[[], Mapping[str, int]]) -> None:
        """From now on what administrators have stopped is asked whenever somebody looks."""
        self.registry.register(_Switches(counts))

    def _start(self, phase: str, is_warm: bool, seconds: float) -> None:
        self._start_seconds.labels(phase, "yes" if is_warm else "no").observe(seconds)

    def totals(self) -> dict[str, int]:
        """Calls since this process started, by class of status."""
        self._tell()
        sums: dict[str, int] = {}
        for metric in self._calls.collect():
            for sample in metric.samples:
                if sample.name.endswith("_total"):
                    name = sample.labels["status_class"]
                    sums[name] = sums.get(name, 0) + int(sample.value)
        return sums

    async def scrape(self, status: Callable[[], Awaitable[ManagerStatus]]) -> bytes:
        """The same with what the manager says now; it is asked once a second at most.

        While it does not answer, its own metrics are left out rather than told wrong.
        """
        now = time.monotonic()
        if now >= self._fleet_until:
            self._fleet_until = now + _FRESH_SECONDS
            try:
                self._fleet.status = await within(_STATUS_SECONDS, status())
            except (SandboxError, TimeoutError) as error:
                _log.warning("manager_metrics_missing", error=repr(error))
                self._fleet.status = None
        return self.render()

    def render(self) -> bytes:
        """The text format that Prometheus scrapes."""
        return generate_latest(self.registry)

    def own(self) -> list[Metric]:
        """What this process counted itself, without what the manager said."""
        shared = {metric.name for metric in self._fleet.collect()}
        return [metric for metric in self.registry.collect() if metric.name not in shared]

    def render_shared(self) -> bytes:
        """What the manager said, the same whichever process is asked."""
        registry = CollectorRegistry()
        registry.register(self._fleet)
        return generate_latest(registry)

    def _bounded(self, code: str) -> str:
        """The code itself until there are too many of them: a bug must not fill the memory."""
        if code in self._codes:
            return code
        if len(self._codes) >= _CODES_MAX:
            return _OTHER
        self._codes.add(code)
        return code


class _CallSeconds(Collector):
    """A histogram without locks: one thread writes it, and it is read when somebody asks.

    `before` is called then, for others who count like this.
    """

    def __init__(self, before: Callable[[], None]) -> None:
        self._before = before
        self._counts = [0] * (len(_CALL_BUCKETS) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """One call took this long."""
        self._counts[bisect_left(_CALL_BUCKETS, seconds)] += 1
        self._sum += seconds

    def collect(self) -> Iterator[Metric]:
        """Called while the text is made."""
        self._before()
        bounds = [*(str(float(bound)) for bound in _CALL_BUCKETS), "+Inf"]
        buckets = list(zip(bounds, accumulate(self._counts), strict=True))
        yield HistogramMetricFamily(
            "sandgate_call_seconds",
            "Time from the first byte of a call to the last of its answer",
            buckets=buckets,
            sum_value=self._sum,
        )


class _CallPath(Collector):
    """What the call path says of itself; none of it has a label that a caller could choose."""

    def __init__(self, now: Callable[[], CallPathNow]) -> None:
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """Called while the text is made."""
        now = self._now()
        for name, text, value in (
            ("sandgate_calls_waiting", "Calls that wait for a sandbox", now.waiting),
            ("sandgate_websockets_open", "WebSockets that are open", now.websockets),
            ("sandgate_streams_open", "Answers that stream", now.streams),
            ("sandgate_breakers_open", "Versions spared because they kept failing", now.breakers),
        ):
            yield GaugeMetricFamily(name, text, value)
        cache = CounterMetricFamily(
            "sandgate_response_cache",
            "Calls answered from memory (hit) or by the app (miss), and answers kept (stored)",
            labels=["result"],
        )
        cache.add_metric(["hit"], now.cache_hits)
        cache.add_metric(["miss"], now.cache_misses)
        cache.add_metric(["stored"], now.cache_stored)
        yield cache


class _Switches(Collector):
    """How much administrators have stopped, by kind."""

    def __init__(self, counts: Callable[[], Mapping[str, int]]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        """Called while the text is made."""
        stopped = GaugeMetricFamily(
            "sandgate_switches_stopped",
            "What administrators have stopped, by kind of switch",
            labels=["switch"],
        )
        for name, count in self._counts().items():
            stopped.add_metric([name], count)
        yield stopped


class _Fleet(Collector):
    """What the manager said last, as metrics. Its counters begin anew when it does."""

    def __init__(self) -> None:
        self.status: ManagerStatus | None = None

    def collect(self) -> Iterator[Metric]:
        """Called while the text is made."""
        status = self.status
        yield GaugeMetricFamily(
            "sandgate_manager_up", "Whether the sandbox manager answers", int(status is not None)
        )
        if status is not None:
            yield from _sandboxes(status)
            yield from _pool(status)


def _sandboxes(status: ManagerStatus) -> Iterator[Metric]:
    tiers = GaugeMetricFamily(
        "sandgate_tier_available", "Whether sandboxes of this tier can be had", labels=["tier"]
    )
    for tier in {one.tier for one in status.tiers}:
        there = any(one.is_available for one in status.tiers if one.tier is tier)
        tiers.add_metric([tier.value], int(there))
    yield tiers
    living = GaugeMetricFamily(
        "sandgate_sandboxes", "Sandboxes by status and tier", labels=["status", "tier"]
    )
    counts = Tally(
        (one.status if one.status in _STATUSES else _OTHER, one.tier.value)
        for one in status.sandboxes
    )
    for labels, count in sorted(counts.items()):
        living.add_metric(labels, count)
    yield living


def _pool(status: ManagerStatus) -> Iterator[Metric]:
    pool = status.pool
    starts = CounterMetricFamily(
        "sandgate_starts", "Starts that found a blank, found none, or failed", labels=["found"]
    )
    for found, count in (
        ("warm", pool.warm_starts),
        ("cold", pool.cold_starts),
        ("failed", pool.failed_starts),
    ):
        starts.add_metric([found], count)
    yield starts
    if asked := pool.warm_starts + pool.cold_starts:
        yield GaugeMetricFamily(
            "sandgate_pool_hit_ratio",
            "Share of starts that found a blank",
            pool.warm_starts / asked,
        )
    yield CounterMetricFamily("sandgate_thaws", "Frozen sandboxes that were used again", pool.thaws)
    ends = CounterMetricFamily(
        "sandgate_sandbox_ends", "Sandboxes that ended, by reason", labels=["reason"]
    )
    known = {reason.value for reason in EndReason}
    counts: Tally[str] = Tally()
    for reason, count in pool.ends.items():
        counts[reason if reason in known else _OTHER] += count
    for reason, count in sorted(counts.items()):
        ends.add_metric([reason], count)
    yield ends

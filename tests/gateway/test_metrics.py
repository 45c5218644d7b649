"""Counters with labels from small sets, and what the manager says when somebody looks."""

import asyncio

import pytest

from gateway import metrics as module
from gateway.metrics import CallPathNow, Metrics, status_class
from sandbox.types import (
    EndReason,
    ManagerStatus,
    ManagerUnavailableError,
    PoolStatus,
    SandboxStatus,
    StartTimes,
    Tier,
    TierStatus,
)


def test_status_class_is_bounded() -> None:
    assert [status_class(s) for s in (204, 503, 0, 999)] == ["2xx", "5xx", "other", "other"]


def test_calls_are_counted_by_class_and_outcome() -> None:
    metrics = Metrics()
    metrics.call(200, "answered", 0.01)
    metrics.call(204, "answered", 0.01)
    metrics.call(429, "rejected", 0.001)
    text = metrics.render().decode()
    assert 'sandgate_calls_total{outcome="answered",status_class="2xx"} 2.0' in text
    assert metrics.totals() == {"2xx": 2, "4xx": 1}


def test_codes_and_methods_cannot_grow_without_bound() -> None:
    metrics = Metrics()
    for number in range(200):
        metrics.reject(f"code_{number}")
        metrics.control(f"M{number}", 200, 0)
    lines = metrics.render().decode().splitlines()
    assert len([line for line in lines if line.startswith("sandgate_rejects_total{")]) == 65
    assert len([line for line in lines if "control_requests_total{" in line]) == 1


def test_two_instances_share_nothing() -> None:
    first, second = Metrics(), Metrics()
    first.call(200, "answered", 0.01)
    assert second.totals() == {}


def manager_status() -> ManagerStatus:
    """With a manager that sends more than it should."""
    return ManagerStatus(
        runtime="docker",
        tier=Tier.RUNC,
        engine_ok=True,
        detail="",
        missing=(),
        sandboxes=(
            SandboxStatus("a", None, "blank", 1.0, Tier.RUNC),
            SandboxStatus("b", None, "blank", 1.0, Tier.RUNC),
            SandboxStatus("c", None, "frozen", 1.0, Tier.GVISOR),
            SandboxStatus("d", None, "never heard of", 1.0, Tier.RUNC),
        ),
        tiers=(
            TierStatus(Tier.RUNC, "docker", True, ""),
            TierStatus(Tier.BWRAP, "bubblewrap", False, "not installed"),
        ),
        pool=PoolStatus(3, 1, 2, 7, {EndReason.MEMORY.value: 2, "odd": 1, "odder": 1}),
    )


async def test_what_the_manager_says_is_collected_when_somebody_looks() -> None:
    """By status, tier and reason; what is not known is summed up as other."""

    async def status() -> ManagerStatus:
        return manager_status()

    lines = set((await Metrics().scrape(status)).decode().splitlines())
    assert lines >= {
        "sandgate_manager_up 1.0",
        'sandgate_sandboxes{status="blank",tier="runc"} 2.0',
        'sandgate_sandboxes{status="frozen",tier="gvisor"} 1.0',
        'sandgate_sandboxes{status="other",tier="runc"} 1.0',
        'sandgate_tier_available{tier="runc"} 1.0',
        'sandgate_tier_available{tier="bwrap"} 0.0',
        'sandgate_starts_total{found="warm"} 3.0',
        'sandgate_starts_total{found="cold"} 1.0',
        'sandgate_starts_total{found="failed"} 2.0',
        "sandgate_pool_hit_ratio 0.75",
        "sandgate_thaws_total 7.0",
        'sandgate_sandbox_ends_total{reason="memory"} 2.0',
        'sandgate_sandbox_ends_total{reason="other"} 2.0',
    }


async def test_the_manager_is_asked_once_a_second_at_most() -> None:
    """Whoever looks more often gets the same."""
    asked = 0

    async def status() -> ManagerStatus:
        nonlocal asked
        asked += 1
        return manager_status()

    metrics = Metrics()
    for _ in range(5):
        await metrics.scrape(status)
    assert asked == 1


async def test_a_manager_that_is_away_or_hangs_takes_only_its_own_metrics_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are left out: old numbers would look like a healthy manager."""
    monkeypatch.setattr(module, "_FRESH_SECONDS", 0.0)
    monkeypatch.setattr(module, "_STATUS_SECONDS", 0.05)

    async def there() -> ManagerStatus:
        return manager_status()

    async def away() -> ManagerStatus:
        raise ManagerUnavailableError("down")

    async def hangs() -> ManagerStatus:
        await asyncio.Event().wait()
        return manager_status()

    metrics = Metrics()
    metrics.call(200, "answered", 0.1)
    for status in (away, hangs):
        assert b"sandgate_pool_hit_ratio" in await metrics.scrape(there)
        text = await metrics.scrape(status)
        assert b"sandgate_manager_up 0.0" in text
        assert b"sandgate_calls_total" in text
        assert b"sandgate_sandboxes{" not in text


def test_starts_are_measured_by_phase_and_warmth() -> None:
    """Five phases, the last of which the gateway sees itself."""
    metrics = Metrics()
    metrics.started(StartTimes(0.0, 0.001, 0.008, 0.002, is_warm=True))
    metrics.started(StartTimes(0.0, 0.4, 0.008, 0.002, is_warm=False))
    metrics.first_byte(True, 0.004)
    text = metrics.render().decode()
    for phase in ("queued", "claimed", "code", "ready"):
        for warm in ("yes", "no"):
            assert f'sandgate_start_seconds_count{{phase="{phase}",warm="{warm}"}} 1.0' in text
    assert 'sandgate_start_seconds_sum{phase="first_byte",warm="yes"} 0.004' in text


def test_the_call_path_is_asked_when_somebody_looks() -> None:
    """Every name has a type and a text, and nothing of it is labelled by what a caller chose."""
    metrics, now = Metrics(), CallPathNow(1, 2, 3, 4, 5, 6, 7)
    metrics.follow(lambda: now)
    lines = set(metrics.render().decode().splitlines())
    now = now._replace(waiting=0)
    assert lines >= {
        "sandgate_calls_waiting 1.0",
        "sandgate_websockets_open 2.0",
        "sandgate_streams_open 3.0",
        "sandgate_breakers_open 4.0",
        'sandgate_response_cache_total{result="hit"} 5.0',
        'sandgate_response_cache_total{result="miss"} 6.0',
        'sandgate_response_cache_total{result="stored"} 7.0',
        "# TYPE sandgate_response_cache_total counter",
        "# TYPE sandgate_calls_waiting gauge",
    }
    assert "sandgate_calls_waiting 0.0" in metrics.render().decode()
    assert "sandgate_streams_open" in {metric.name for metric in metrics.own()}


HOSTILE = [f"{word}-{number}" for word in ("x", "/a/b", 'q"}\n', "é") for number in range(100)]
# in place of an id, a key, an address or a path
LABELS = {
    "status_class", "outcome", "code", "method", "phase", "warm", "reason", "admitted", "result",
    "status", "tier", "found", "le",
}  # fmt: skip


def test_no_label_takes_what_a_caller_chose_without_a_cap() -> None:
    """Everything that can be told is told four hundred times, with words that somebody made up."""
    metrics = Metrics()
    metrics.follow(lambda: CallPathNow(1, 1, 1, 1, 1, 1, 1))
    for number, word in enumerate(HOSTILE):
        metrics.call(number * 7, "answered", 0.1)
        metrics.reject(word)
        metrics.control(word, number * 7, 0.1)
        metrics.limits_failed(word)
        metrics.limits_alone(bool(number % 2))
        metrics.limits_degraded(True)
        metrics.first_byte(bool(number % 2), 0.1)
    boxes = tuple(SandboxStatus(word, None, word, 1.0, Tier.RUNC) for word in HOSTILE)
    status = ManagerStatus(
        runtime=HOSTILE[0], tier=Tier.RUNC, engine_ok=True, detail=HOSTILE[1], missing=(),
        sandboxes=boxes, pool=PoolStatus(ends=dict.fromkeys(HOSTILE, 1)),
    )  # fmt: skip
    metrics._fleet.status = status
    series: dict[str, int] = {}
    for family in metrics.registry.collect():
        for sample in family.samples:
            assert set(sample.labels) <= LABELS, family.name
            series[sample.name] = series.get(sample.name, 0) + 1
    assert {name: count for name, count in series.items() if count > 70} == {}


def test_every_counter_of_the_gateway_is_in_that_test() -> None:
    """A method that is added has to be told there too."""
    told = {name for name in vars(Metrics) if not name.startswith("_")}
    assert told == {
        "call", "reject", "limits_degraded", "limits_failed", "limits_alone", "control",
        "started", "first_byte", "follow", "totals", "scrape", "render", "own", "render_shared",
        "follow_switches", "jobs_taken",  # of a fixed list
    }  # fmt: skip

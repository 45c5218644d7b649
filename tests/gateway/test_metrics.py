"""Counters with labels from small sets."""

from gateway.metrics import Metrics, status_class


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

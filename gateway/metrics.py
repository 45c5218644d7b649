"""Every Prometheus collector of the gateway, in one place; labels come from small fixed sets."""

from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
Outcome = Literal["answered", "rejected", "failed"]

_CALL_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_CODES_MAX = 64
_OTHER = "other"


def status_class(status: int) -> str:
    """`2xx` for 204; anything that is not a status is `other`."""
    return f"{status // 100}xx" if 100 <= status <= 599 else _OTHER


class Metrics:
    """Counts of one process. Never label by tenant, API, key, path or anything a caller chose."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._codes: set[str] = set()
        self._calls = Counter(
            "sandgate_calls_total",
            "Calls of APIs by class of status and outcome",
            ["status_class", "outcome"],
            registry=self.registry,
        )
        self._call_seconds = Histogram(
            "sandgate_call_seconds",
            "Time from the first byte of a call to the last of its answer",
            buckets=_CALL_BUCKETS,
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

    def call(self, status: int, outcome: Outcome, seconds: float) -> None:
        """One call ended."""
        self._calls.labels(status_class(status), outcome).inc()
        self._call_seconds.observe(seconds)

    def reject(self, code: str) -> None:
        """The gateway answered with this problem code instead of the app."""
        self._rejects.labels(self._bounded(code)).inc()

    def control(self, method: str, status: int, seconds: float) -> None:
        """One request to the control plane ended."""
        known = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}
        self._control.labels(method if method in known else _OTHER, status_class(status)).inc()
        self._control_seconds.observe(seconds)

    def totals(self) -> dict[str, int]:
        """Calls since this process started, by class of status."""
        sums: dict[str, int] = {}
        for metric in self._calls.collect():
            for sample in metric.samples:
                if sample.name.endswith("_total"):
                    name = sample.labels["status_class"]
                    sums[name] = sums.get(name, 0) + int(sample.value)
        return sums

    def render(self) -> bytes:
        """The text format that Prometheus scrapes."""
        return generate_latest(self.registry)

    def _bounded(self, code: str) -> str:
        """The code itself until there are too many of them: a bug must not fill the memory."""
        if code in self._codes:
            return code
        if len(self._codes) >= _CODES_MAX:
            return _OTHER
        self._codes.add(code)
        return code

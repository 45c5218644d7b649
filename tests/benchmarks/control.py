"""`make bench-control`: what people wait for at the control plane, embedded.

One installation as `make run` starts it, one person, one call at a time; then what policies cost
and sums over a million calls (see `policies.py`). docs/benchmarks.md tells more.
"""

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from uuid import uuid4

import httpx

from tests.benchmarks import apps, policies
from tests.benchmarks.processes import cpu_seconds, family
from tests.benchmarks.table import Bar, Report, Row
from tests.support.installation import installation

Times = dict[str, list[float]]  # milliseconds by what was asked

FLOOR = "/health"  # asks nobody: what any answer takes on this machine now
READS = (
    FLOOR,
    "/api/me",
    "/api/tenants",
    "/api/apis",
    "/api/apis/{id}",
    "/api/apis/{id}/versions",
    "/api/apis/{id}/versions/1",
    "/api/apis/{id}/deployments",
    "/api/apis/{id}/keys",
    "/api/apis/{id}/secrets",
    "/api/apis/{id}/logs",
    "/api/apis/{id}/sandboxes",
    "/api/api-analytics/{id}",
    "/api/rate-limit/usage",
    "/api/credit",
    "/api/ledger",
)


class Person:
    """Somebody who signed up, with one API; every call is timed."""

    def __init__(self, client: httpx.Client, times: Times) -> None:
        self._client = client
        self._times = times
        self._email, self._password = f"{uuid4().hex}@example.com", f"{uuid4()}"
        document = {"email": self._email, "password": self._password}
        client.post("/auth/v1/signup", json=document).raise_for_status()
        self.sign_in()
        body = {"name": "bench", "code": apps.BARE}
        self._api = self._ask("POST /api/apis, code started", "POST", "/api/apis", body)["id"]

    def sign_in(self) -> None:
        """With the password."""
        document = {"email": self._email, "password": self._password}
        address = "/auth/v1/token?grant_type=password"
        session = self._ask("sign-in", "POST", address, document)
        self._client.headers["Authorization"] = f"Bearer {session['access_token']}"

    def read(self) -> None:
        """Every page once."""
        for path in READS:
            self._ask(f"GET {path}", "GET", path.replace("{id}", self._api))

    def change(self) -> None:
        """An API's text, and the life of a key."""
        api = f"/api/apis/{self._api}"
        self._ask("PATCH /api/apis/{id}", "PATCH", api, {"description": uuid4().hex})
        key = self._ask("POST /api/apis/{id}/keys", "POST", f"{api}/keys", {"name": "a key"})
        address = f"/api/keys/{key['id']}"
        self._ask("PATCH /api/keys/{id}", "PATCH", address, {"limits": {"hour": 10}})
        self._ask("POST /api/keys/{id}/rotate", "POST", f"{address}/rotate", {})
        self._ask("DELETE /api/keys/{id}", "DELETE", address)

    def _ask(self, name: str, method: str, path: str, body: Any = None) -> Any:
        begin = time.perf_counter()
        answer = self._client.request(method, path, json=body)
        self._times.setdefault(name, []).append((time.perf_counter() - begin) * 1000)
        if answer.is_error:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None


def calls(report: Report, rounds: int, runtime: str) -> None:
    """One person asks for everything, round after round."""
    times: Times = {}
    with installation(SANDBOX_RUNTIME=runtime) as made, made.client() as client:
        person = Person(client, times)
        person.read()
        person.change()  # what is asked for first is compiled and connected first
        begun = {name: times.pop(name) for name in list(times)}
        used = cpu_seconds(family(made.pid))
        for _ in range(rounds):
            person.read()
            person.change()
        used = cpu_seconds(family(made.pid)) - used
        for _ in range(min(rounds, 15)):
            person.sign_in()
    section = f"control calls, one at a time, {rounds} rounds"
    for name, taken in sorted(times.items()):
        values = {"p50 ms": round(median(taken), 1), "p95 ms": round(_p95(taken), 1)}
        report.add(Row(section, name, dict(values)))
    started = begun["POST /api/apis, code started"]
    report.add(Row("once", "POST /api/apis, code started", {"ms": round(started[0], 1)}))
    sign_in = times.pop("sign-in")
    times.pop(f"GET {FLOOR}")
    busy = used * 1000 / sum(len(taken) for name, taken in times.items() if name != "sign-in")
    report.add(Row("all processes of the installation", "a call", {"CPU ms": round(busy, 2)}))
    together = [one for taken in times.values() for one in taken]
    report.judge(
        Bar("sign-in, p50 ms", median(sign_in), 150),
        Bar("other control calls together, p95 ms", _p95(together), 30),
        Bar("slowest kind of control call, p95 ms", max(map(_p95, times.values())), 30),
    )


def _p95(taken: Sequence[float]) -> float:
    return quantiles(taken, n=20, method="inclusive")[-1]


def main() -> None:
    """Measure, print, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--calls", type=int, default=300_000, help="that policies are tried on")
    parser.add_argument("--many", type=int, default=1_000_000, help="calls to sum up")
    parser.add_argument("--runtime", default="auto", choices=["auto", "docker", "bubblewrap"])
    parser.add_argument("--only", choices=["calls", "policies"])
    parser.add_argument("--strict", action="store_true", help="fail when a bar is missed")
    parser.add_argument("--output", type=Path, help="write JSON too")
    chosen = parser.parse_args()
    report = Report()
    sections: dict[str, Callable[[], None]] = {
        "calls": lambda: calls(report, max(2, chosen.rounds), chosen.runtime),
        "policies": lambda: policies.measure(report, chosen.calls, chosen.many),
    }
    for name, measure in sections.items():
        if chosen.only in (None, name):
            _attempt(name, measure, report)
    report.finish()
    if chosen.output:
        report.write(chosen.output, sys.argv[1:])
    missed = chosen.strict and not all(bar.held for bar in report.bars)
    sys.exit(1 if missed or report.broken else 0)


def _attempt(name: str, measure: Callable[[], None], report: Report) -> None:
    """One section; when it breaks, the other is measured all the same and the run fails."""
    try:
        measure()
    except Exception as error:
        traceback.print_exc()
        report.broke(f"{name}: {error}")


if __name__ == "__main__":
    main()

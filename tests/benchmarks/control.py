"""`make bench-control`: what people wait for at the control plane.

One installation as `make run` starts it, one person, one call at a time; the same over a project,
which only PostgREST leads to; then what policies cost and sums over a million calls (see
`policies.py`). docs/benchmarks.md tells more.
"""

import argparse
import asyncio
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from uuid import uuid4

import httpx
import pytest

from gateway.store.embedded import EmbeddedPostgres
from gateway.store.migrate import migrate
from tests.benchmarks import apps, policies
from tests.benchmarks.processes import cpu_seconds, family
from tests.benchmarks.table import Bar, Report, Row
from tests.support.installation import Installation, installation
from tests.support.served_project import served_project
from tests.support.supabase_project import PUBLIC_KEY

Times = dict[str, list[float]]  # milliseconds by what was asked

STARTED = "POST /api/apis, code started"
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
        self._api = self._ask(STARTED, "POST", "/api/apis", body)["id"]

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
    """One person asks an installation with a Postgres of its own."""
    with installation(SANDBOX_RUNTIME=runtime) as made:
        asked = _asked(made, rounds)
    section = "embedded"
    _show(report, section, rounds, asked)
    report.judge(Bar("sign-in, p50 ms", median(asked.sign_in), 150))
    _judge(report, section, asked, 30)


def project(report: Report, rounds: int, runtime: str) -> None:
    """The same of one that runs on a project."""
    try:
        with (
            _project() as environment,
            installation(SANDBOX_RUNTIME=runtime, **environment) as made,
        ):
            asked = _asked(made, rounds)
    except pytest.skip.Exception as reason:
        report.note(f"project: {reason.msg}")
        return
    section = "through PostgREST"
    _show(report, section, rounds, asked)
    _judge(report, section, asked, 100)


@contextmanager
def _project() -> Iterator[dict[str, str]]:
    """Settings that lead to a project over a Postgres of its own."""
    with tempfile.TemporaryDirectory(prefix="sgb") as folder, asyncio.Runner() as runner:
        server = EmbeddedPostgres(Path(folder))
        runner.run(server.start())
        try:
            runner.run(migrate(server.socket_dir))
            with served_project(server.socket_dir, "postgres") as made:
                yield made.environment(SUPABASE_ANON_KEY=PUBLIC_KEY)
        finally:
            runner.run(server.stop())


@dataclass(frozen=True, slots=True)
class Asked:
    """What one person waited for, in milliseconds, and what it cost."""

    times: Times
    sign_in: list[float]
    floor: list[float]
    started: float
    cpu_ms: float


def _asked(made: Installation, rounds: int) -> Asked:
    """Everything, round after round; what is asked for first is compiled and connected first."""
    times: Times = {}
    with made.client() as client:
        person = Person(client, times)
        person.read()
        person.change()
        begun = {name: times.pop(name) for name in list(times)}
        used = cpu_seconds(family(made.pid))
        for _ in range(rounds):
            person.read()
            person.change()
        used = cpu_seconds(family(made.pid)) - used
        for _ in range(min(rounds, 15)):
            person.sign_in()
    sign_in, floor = times.pop("sign-in"), times.pop(f"GET {FLOOR}")
    number = sum(len(taken) for taken in times.values())
    return Asked(times, sign_in, floor, begun[STARTED][0], used * 1000 / number)


def _show(report: Report, name: str, rounds: int, asked: Asked) -> None:
    section = f"control calls {name}, one at a time, {rounds} rounds"
    rows = {**asked.times, "sign-in": asked.sign_in, f"GET {FLOOR}": asked.floor}
    for what, taken in sorted(rows.items()):
        values = {"p50 ms": round(median(taken), 1), "p95 ms": round(_p95(taken), 1)}
        report.add(Row(section, what, dict(values)))
    report.add(Row(f"once, {name}", STARTED, {"ms": round(asked.started, 1)}))
    section = f"all processes of the installation, {name}"
    report.add(Row(section, "a call", {"CPU ms": round(asked.cpu_ms, 2)}))


def _judge(report: Report, name: str, asked: Asked, limit: float) -> None:
    together = [one for taken in asked.times.values() for one in taken]
    slowest = max(map(_p95, asked.times.values()))
    report.judge(
        Bar(f"other control calls together, {name}, p95 ms", _p95(together), limit),
        Bar(f"slowest kind of control call, {name}, p95 ms", slowest, limit),
    )


def _p95(taken: Sequence[float]) -> float:
    return quantiles(taken, n=20, method="inclusive")[-1]


SECTIONS: dict[str, Callable[[Report, argparse.Namespace], None]] = {
    "calls": lambda report, chosen: calls(report, max(2, chosen.rounds), chosen.runtime),
    "project": lambda report, chosen: project(report, max(2, chosen.rounds), chosen.runtime),
    "policies": lambda report, chosen: policies.measure(report, chosen.calls, chosen.many),
}


def options() -> argparse.ArgumentParser:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--calls", type=int, default=300_000, help="that policies are tried on")
    parser.add_argument("--many", type=int, default=1_000_000, help="calls to sum up")
    parser.add_argument("--runtime", default="auto", choices=["auto", "docker", "bubblewrap"])
    parser.add_argument("--only", action="append", choices=list(SECTIONS), default=[])
    parser.add_argument("--strict", action="store_true", help="fail when a bar is missed")
    parser.add_argument("--output", type=Path, help="write JSON too")
    return parser


def main() -> None:
    """Measure, print, write, judge."""
    chosen = options().parse_args()
    report = Report()
    for name, measure in SECTIONS.items():
        if not chosen.only or name in chosen.only:
            _attempt(name, measure, report, chosen)
    report.finish()
    if chosen.output:
        report.write(chosen.output, sys.argv[1:])
    missed = chosen.strict and not all(bar.held for bar in report.bars)
    sys.exit(1 if missed or report.broken else 0)


def _attempt(
    name: str,
    measure: Callable[[Report, argparse.Namespace], None],
    report: Report,
    chosen: argparse.Namespace,
) -> None:
    """One section; when it breaks, the others are measured all the same and the run fails."""
    try:
        measure(report, chosen)
    except Exception as error:
        traceback.print_exc()
        report.broke(f"{name}: {error}")


if __name__ == "__main__":
    main()

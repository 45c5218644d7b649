"""`make soak`: half an hour of load with reloads, revocations and redeployments; nothing may grow.

Every few seconds the memory and the descriptors of each process of the installation are looked
at. The first quarter is for warming up; what counts is the median of the last quarter against
that of the second.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

import aiohttp
import uvloop

from tests.benchmarks.latency import request
from tests.benchmarks.load import Target, load
from tests.benchmarks.processes import Cores, descriptors, rss_mb
from tests.benchmarks.rig import Deployed, Rig, gateway_pids, rig_folder
from tests.benchmarks.table import Bar, Report, Row
from tests.journeys import apps

CONNECTIONS = 8
SLICE_SECONDS = 5.0
MOST_MB = 10.0
LONG_MINUTES = 5  # from here on growth is judged
MOST_DESCRIPTORS = 8
NAMES = ("worker", "manager", "door")  # gateways are taken together; Postgres keeps what it likes


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at everything."""

    seconds: float
    calls: int
    mb: dict[str, float]
    descriptors: dict[str, int]


@dataclass(slots=True)
class Soak:
    """What has happened so far."""

    deployed: Deployed
    samples: list[Sample] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    broken: int = 0
    wrong: list[str] = field(default_factory=list)
    begin: float = field(default_factory=time.monotonic)

    def look(self) -> None:
        """Take a sample and print it."""
        made = self.deployed.made
        found = {name: [pid] for name, pid in made.processes().items() if name in NAMES}
        found["gateway"] = gateway_pids(made)
        sample = Sample(
            round(time.monotonic() - self.begin, 1),
            self.statuses.total(),
            {name: round(rss_mb(pids), 1) for name, pids in found.items()},
            {name: descriptors(pids) for name, pids in found.items()},
        )
        self.samples.append(sample)
        print(json.dumps(asdict(sample)), flush=True)


async def call(soak: Soak, until: float) -> None:
    """Load in slices; everything but a 200 is a failure."""
    deployed = soak.deployed
    target = Target(request(deployed.path, deployed.key), host="127.0.0.1", port=deployed.port)
    while time.monotonic() < until:
        outcome = await load(target, CONNECTIONS, min(SLICE_SECONDS, until - time.monotonic() + 1))
        soak.statuses.update(outcome.statuses)
        soak.broken += outcome.broken
        soak.wrong += [f"no answer, but {data[:2000]!r}" for data in outcome.garbage]


async def reload(soak: Soak, admin: aiohttp.ClientSession) -> None:
    """Fresh sandboxes of the same code."""
    headers = {"Authorization": f"Bearer {soak.deployed.made.first['admin_api_key']}"}
    path = f"/admin/reload/{soak.deployed.api['id']}"
    async with admin.post(path, headers=headers) as answer:
        expect(soak, "reload", answer.status, 200, await answer.text())


async def redeploy(soak: Soak, admin: aiohttp.ClientSession) -> None:
    """A new version of the code takes over."""
    code = apps.VERSIONED.format(number=soak.done["redeploy"] + 2)
    path = f"/api/apis/{soak.deployed.api['id']}/versions"
    async with admin.post(path, json={"code": code}) as answer:
        expect(soak, "redeploy", answer.status, 201, await answer.text())


async def revoke(soak: Soak, admin: aiohttp.ClientSession) -> None:
    """A key that is good, and then is not."""
    api_id = soak.deployed.api["id"]
    async with admin.post(f"/api/apis/{api_id}/keys", json={"name": "soaked"}) as answer:
        key = await answer.json()
        expect(soak, "key", answer.status, 201, str(key))
    for wanted in (200, 401):
        async with admin.get(
            soak.deployed.path, headers={"Authorization": f"Bearer {key['key']}"}
        ) as answer:
            expect(soak, f"call with {wanted}", answer.status, wanted, await answer.text())
        if wanted == 200:
            async with admin.delete(f"/api/keys/{key['id']}") as answer:
                expect(soak, "revocation", answer.status, 204, await answer.text())
            await asyncio.sleep(1)  # as long as it may take everywhere


def expect(soak: Soak, what: str, status: int, wanted: int, text: str) -> None:
    """Count what went as it should; keep what did not."""
    soak.done[what] += 1
    if status != wanted:
        soak.wrong.append(f"{what}: {status} {text[:300]}")
        print(soak.wrong[-1], flush=True)


Deed = Callable[[Soak, aiohttp.ClientSession], Awaitable[None]]


async def again_and_again(
    soak: Soak, admin: aiohttp.ClientSession, deed: Deed, pause: float, until: float
) -> None:
    """One deed, until the time is up."""
    while time.monotonic() < until:
        await deed(soak, admin)
        await asyncio.sleep(min(pause, max(0.0, until - time.monotonic())))


async def sign_in(soak: Soak, admin: aiohttp.ClientSession) -> None:
    """A session lasts an hour; a soak may last longer."""
    first = soak.deployed.made.first
    person = {"email": first["admin_email"], "password": first["admin_password"]}
    path = "/auth/v1/token?grant_type=password"
    async with admin.post(path, json=person, headers={"Authorization": ""}) as answer:
        token = (await answer.json())["access_token"]
    admin.headers["Authorization"] = f"Bearer {token}"


async def look(soak: Soak, pause: float, until: float) -> None:
    """A sample now and then."""
    while time.monotonic() < until:
        await asyncio.sleep(pause)
        soak.look()


async def run(soak: Soak, minutes: float) -> None:
    """Everything at once for so long."""
    until = time.monotonic() + minutes * 60
    pause = max(2.0, minutes * 60 / 120)
    async with aiohttp.ClientSession(soak.deployed.made.url) as admin:
        await sign_in(soak, admin)
        deeds: tuple[tuple[Deed, float], ...] = (
            (reload, 1.0), (revoke, 1.0), (redeploy, 5.0), (sign_in, 1500.0)
        )  # fmt: skip
        await asyncio.gather(
            call(soak, until),
            look(soak, pause, until),
            *(again_and_again(soak, admin, deed, pause, until) for deed, pause in deeds),
        )


def judge(soak: Soak, report: Report, *, is_long: bool) -> None:
    """Flat memory and descriptors, which a short run cannot tell; no failure."""
    if is_long:
        _judge_growth(soak, report)
    refused = soak.statuses.total() - soak.statuses[200]
    report.judge(Bar("calls that failed", refused + soak.broken, 0))
    report.judge(Bar("other things that went wrong", len(soak.wrong), 0))
    done = {name: float(count) for name, count in soak.done.items()}
    report.add(Row("soak", "done", {"calls": float(soak.statuses.total()), **done}))


def _judge_growth(soak: Soak, report: Report) -> None:
    quarter = max(1, len(soak.samples) // 4)
    early, late = soak.samples[quarter : 2 * quarter], soak.samples[-quarter:]
    for name in soak.samples[-1].mb:
        grown = _median(late, name) - _median(early, name)
        opened = _open(late, name) - _open(early, name)
        report.judge(Bar(f"{name}: MB grown", grown, MOST_MB))
        report.judge(Bar(f"{name}: descriptors grown", opened, MOST_DESCRIPTORS))


def _median(samples: list[Sample], name: str) -> float:
    return median([sample.mb[name] for sample in samples if name in sample.mb] or [0.0])


def _open(samples: list[Sample], name: str) -> float:
    return median([each.descriptors[name] for each in samples if name in each.descriptors] or [0])


def main() -> None:
    """Print samples and verdict; with --output write them. Fails when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--runtime", default="bubblewrap", choices=["auto", "docker", "bubblewrap"])
    parser.add_argument("--redis", action="store_true", help="limits in Redis")
    parser.add_argument("--workers", type=int, default=1, help="more than one needs --redis")
    parser.add_argument("--output", type=Path)
    chosen = parser.parse_args()
    report = Report()
    with rig_folder() as folder, ExitStack() as stack:
        rig = Rig(0, 1, CONNECTIONS, (), chosen.runtime, Cores(False), folder)
        environment = {"SANDBOX_LEASE_SECONDS": "10"}  # versions come and go, as in life
        if chosen.redis:
            environment["REDIS_URL"] = stack.enter_context(rig.redis()).url
        arguments = ("--workers", str(chosen.workers)) if chosen.workers > 1 else ()
        made = stack.enter_context(rig.ours(*arguments, **environment))
        soak = Soak(rig.deploy(made, "soak", apps.VERSIONED.format(number=1)))
        uvloop.run(run(soak, chosen.minutes))
        judge(soak, report, is_long=chosen.minutes >= LONG_MINUTES)
    report.finish()
    if chosen.output:
        report.write(chosen.output, sys.argv[1:])
        samples = [asdict(sample) for sample in soak.samples]
        kept = json.loads(chosen.output.read_text()) | {"samples": samples, "wrong": soak.wrong}
        chosen.output.write_text(json.dumps(kept, indent=2) + "\n")
    sys.exit(0 if all(bar.held for bar in report.bars) else 1)


if __name__ == "__main__":
    main()

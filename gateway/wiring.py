"""The composition root of the gateway: the one file that names concrete classes.

Everything is opened on the caller's exit stack and closed in reverse order.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog
from starlette.types import ASGIApp

from gateway.auth.impersonation import ImpersonatingSessions
from gateway.auth.rehash import Rehash
from gateway.auth.reporters import Reporters
from gateway.auth.verify import KeyVerifier
from gateway.control.leak_desk import LeakDesk
from gateway.control.on_demand import OnDemand
from gateway.control.peers import Peers
from gateway.control.services import ControlServices, Sessions
from gateway.limits.clock import steady_clock
from gateway.limits.memory import MemoryLimiter
from gateway.limits.open import open_limiter
from gateway.limits.redis import RedisLimiter
from gateway.metering.credit import Credit
from gateway.metering.drain import Drain
from gateway.metering.journal import Journal
from gateway.metering.recorder import Recorder
from gateway.metering.segments import waiting_words
from gateway.metering.syncing import Fsync
from gateway.metrics import Metrics
from gateway.operations.crash_loops import CrashLoops
from gateway.operations.health import Ending, Part, Probe
from gateway.operations.mail import OutboxMail
from gateway.operations.model_line import RemoteModels
from gateway.operations.ports import Services
from gateway.operations.switch_follower import SwitchFollower
from gateway.operations.turns import Turns
from gateway.proxy.activate import Activation
from gateway.proxy.documents import Documents
from gateway.proxy.endpoint import Endpoint
from gateway.proxy.leases import Leases
from gateway.proxy.minimum import Minimum
from gateway.proxy.resolve import Resolver
from gateway.proxy.retire import Retirement, SharedKeeper
from gateway.proxy.streams import Streams
from gateway.proxy.validation import Validators
from gateway.secrets import Keyring
from gateway.settings import Settings
from gateway.store import generations, keys
from gateway.store.auth_users import AuthUsers
from gateway.store.bundles import BundleStore
from gateway.store.changes import Changes
from gateway.store.database import SERVICE, Database
from gateway.store.documents import DocumentStore
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.news_redis import RedisNews
from gateway.store.presence import Presence
from gateway.store.project import opened, project_of
from gateway.store.routes import RouteStore
from gateway.wiring_generate import generation_of, model_probe
from gateway.wiring_people import (
    People,
    opened_outbox,
    own_people,
    project_people,
    uploads_in,
)
from sandbox.client import ManagerClient
from sandbox.paths import RunPaths

log = structlog.get_logger("wiring")


@dataclass(frozen=True, slots=True)
class Parts:
    """What the gateway serves."""

    calls: Endpoint
    control: ASGIApp
    people: People
    ending: Ending


async def wire(stack: AsyncExitStack, settings: Settings, run_dir: Path, public_url: str) -> Parts:
    """Open what the gateway needs and put it together."""
    keyring = Keyring.of(settings.data_dir, settings.admin_api_key, settings.secrets_key)
    store = await _open_store(stack, settings)
    ending = Ending()
    manager = ManagerClient(RunPaths(run_dir).manager_socket)
    stack.push_async_callback(manager.close)
    metrics = Metrics()
    clock = steady_clock()
    limiter = await _open_limiter(stack, settings, store.database, clock, metrics)
    journal = _open_journal(stack, settings)
    calls = _calls(stack, settings, keyring, store, manager, limiter, journal, metrics, clock)
    outbox = opened_outbox(stack, settings)
    project = project_of(settings)
    if project is None:
        users = store.users
        assert users is not None
        people = own_people(stack, settings, keyring, store.database, users, outbox, public_url)
    else:
        people = await project_people(stack, project, store.database)
    peers = Peers(
        RunPaths(run_dir).gateways, settings.gateway_name, metrics, workers=settings.gateway_workers
    )
    operations = Services(
        database=store.database,
        bundles=BundleStore(store.database, keyring.secrets_keys),
        sandboxes=manager,
        changes=store.changes,
        usage=limiter,
        clock=clock,
        hash_secrets=keyring.hash_secrets,
        impersonates=project is None,
        code_bytes=settings.code_bytes,
        turns=Turns(folder=RunPaths(run_dir).gateways),
        mailer=OutboxMail(outbox),
        generation=generation_of(settings),
    )
    switches = SwitchFollower(operations, store.changes)
    metrics.follow_switches(switches.counts)
    _run(stack, switches.run())
    control = OnDemand(
        ControlServices(
            operations=operations,
            sessions=_sessions(people, store),
            admin_key=keyring.admin_keys,
            metrics=metrics,
            version=version("sandgate"),
            peers=peers,
            leaks=LeakDesk(Reporters.from_text(settings.leak_report_keys)),
            assistants=RemoteModels(RunPaths(run_dir).models_socket),
            uploads=await uploads_in(stack, settings, keyring),
            probes={
                **_probes(journal, store.changes, limiter, ending, settings.data_dir / "journal"),
                "switches": switches.part,
                "model": model_probe(operations.generation),
            },
        )
    )
    await stack.enter_async_context(peers)  # last: now the supervisor takes us for ready
    return Parts(calls=calls, control=control, people=people, ending=ending)


def _sessions(people: People, store: "_Store") -> Sessions:
    """Those of people, and of administrators as somebody else where sessions are ours."""
    if store.users is None:
        return people.sessions
    return ImpersonatingSessions(
        people.sessions, sessions=store.users, database=store.database, clock=time.time
    )


@dataclass(frozen=True, slots=True)
class _Store:
    """Everything that talks to Postgres."""

    database: Database
    users: AuthUsers | None  # None where a project keeps them
    changes: Changes


async def _open_store(stack: AsyncExitStack, settings: Settings) -> _Store:
    database = await stack.enter_async_context(opened(settings))
    socket_dir, users = None, None
    if project_of(settings) is None:
        socket_dir = EmbeddedPostgres(settings.data_dir).socket_dir
        users = await AuthUsers.connect(str(socket_dir))
        stack.push_async_callback(users.close)
    changes = await stack.enter_async_context(
        Changes(
            socket_dir,  # a project has no LISTEN: there the generation is polled
            read=lambda: generations.current(database),
            news=RedisNews(settings.redis_url.get_secret_value()) if settings.redis_url else None,
        )
    )
    return _Store(database, users, changes)


async def _open_limiter(
    stack: AsyncExitStack,
    settings: Settings,
    database: Database,
    clock: Callable[[], float],
    metrics: Metrics,
) -> MemoryLimiter | RedisLimiter:
    """Counters as they stood: first what dead gateways left is stored, then all is read."""
    await Drain(settings.data_dir / "journal", database).once()

    async def counts(now: float) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = await database.rpc(
            "rate_limit_counts", {"p_now": now}, identity=SERVICE
        )
        return rows

    opened = await open_limiter(
        settings.redis_url.get_secret_value() if settings.redis_url else None,
        counts=counts,
        clock=clock,
        failure=settings.limit_failure,
        gateways=settings.gateway_workers,
        lease=settings.limit_lease,
        watcher=metrics,
    )
    if opened.work is not None:
        _run(stack, opened.work)
    return opened.limiter


def _open_journal(stack: AsyncExitStack, settings: Settings) -> Journal:
    journal = Journal(
        settings.data_dir / "journal",
        segment_seconds=settings.journal_seconds,
        fsync=Fsync(settings.journal_fsync),
    )
    journal.open()
    stack.callback(journal.close)
    _run(stack, journal.run())
    return journal


def _calls(
    stack: AsyncExitStack,
    settings: Settings,
    keyring: Keyring,
    store: _Store,
    manager: ManagerClient,
    limiter: MemoryLimiter | RedisLimiter,
    journal: Journal,
    metrics: Metrics,
    clock: Callable[[], float],
) -> Endpoint:
    """The call path. The resolver comes before the retirement, which reads what is new."""
    routes = RouteStore(store.database)
    resolver = Resolver(routes, store.changes, gateways=settings.gateway_workers)
    bundles = BundleStore(store.database, keyring.secrets_keys)
    reverts = CrashLoops(store.database, store.changes)
    activation = Activation(manager, bundles, on_crash_loop=reverts)
    leases = Leases(SharedKeeper(manager), activation, starts=metrics)
    stack.push_async_callback(leases.close)
    _run(stack, leases.run())
    _run(stack, Minimum(routes, leases, store.changes).run())
    _run(stack, Retirement(resolver, leases, store.changes).run())
    _present(stack, settings, store, resolver, leases)
    rehash = Rehash(partial(keys.gateway_key, store.database), partial(keys.rehash, store.database))
    _run(stack, rehash.run())
    verifier = KeyVerifier(
        rehash.load,
        keyring.hash_secrets,
        store.changes,
        stale_seconds=settings.key_stale_seconds,
    )
    streams = Streams(verifier, resolver, store.changes)
    _run(stack, streams.run())
    credit = Credit(
        store.database, limiter.set_credit, settings.data_dir / "journal", store.changes
    )
    _run(stack, credit.run())
    documents = DocumentStore(store.database)
    validators = Validators(documents)
    stack.callback(validators.close)
    return Endpoint(
        resolver=resolver,
        verifier=verifier,
        streams=streams,
        limiter=limiter,
        leases=leases,
        recorder=Recorder(journal),
        documents=Documents(documents),
        validators=validators,
        base_domain=settings.base_domain,
        generation=lambda: store.changes.generation,
        call_seconds=settings.call_deadline_seconds,
        body_bytes=settings.call_body_bytes,
        observe=_observer(metrics),
        load_credit=credit.load,
        clock=clock,
    )


def _present(
    stack: AsyncExitStack, settings: Settings, store: _Store, resolver: Resolver, leases: Leases
) -> None:
    """This gateway in the list of gateways, after all who handle changes."""
    presence = Presence(
        store.database,
        store.changes,
        name=settings.gateway_name,
        in_flight=lambda: sum(held.in_flight for held in leases.now_held()),
        broken=lambda: resolver.broken,
    )
    stack.push_async_callback(presence.leave)
    _run(stack, presence.run())


def _observer(metrics: Metrics) -> Callable[[int, str | None, float], None]:
    """Counts each call: answered by the app, or by us with a problem code."""

    def observe(status: int, error_code: str | None, seconds: float) -> None:
        if error_code is None:
            metrics.call(status, "answered", seconds)
        else:
            metrics.call(status, "failed" if status >= 500 else "rejected", seconds)
            metrics.reject(error_code)

    return observe


def _probes(
    journal: Journal,
    changes: Changes,
    limiter: MemoryLimiter | RedisLimiter,
    ending: Ending,
    journal_dir: Path,
) -> dict[str, Probe]:
    """Parts beside database and sandboxes that `/ready` asks."""

    async def usage() -> Part:
        reason = "" if journal.healthy else "the journal cannot be written; is the disk full?"
        return Part(journal.healthy, reason)

    async def news() -> Part:
        reason = "" if changes.listening else "changes made elsewhere do not arrive"
        return Part(changes.listening, reason)

    async def limits() -> Part:
        reason = limiter.degraded
        return Part(True, f"decided by each gateway alone: {reason}" if reason else "")

    async def staying() -> Part:
        return Part(not ending.has_begun, "this gateway is about to end" * ending.has_begun)

    async def storing() -> Part:
        return Part(True, waiting_words(journal_dir))

    return {
        "journal": usage,
        "worker": storing,
        "changes": news,
        "limits": limits,
        "staying": staying,
    }


def _run(stack: AsyncExitStack, work: Coroutine[None, None, None]) -> None:
    """Keep it going for as long as the gateway lives; without it the gateway may not live."""
    task = asyncio.create_task(work)
    task.add_done_callback(_end_with)

    async def end() -> None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(end)


def _end_with(task: asyncio.Task[None]) -> None:
    """A part that fails takes the process along: the supervisor starts a whole one again."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("a_part_of_the_gateway_failed", exc_info=error)
        os.kill(os.getpid(), signal.SIGTERM)

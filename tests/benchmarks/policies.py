"""What row-level security costs, and sums over a million calls.

A database of its own. `explain (analyze)` is asked for execution alone; the service and a person
ask the same in turns, and medians are compared.
"""

import asyncio
import hashlib
import json
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from uuid import UUID

import asyncpg

from gateway.store.database import SERVICE, Identity
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.migrate import migrate
from tests.benchmarks.table import Bar, Report, Row
from tests.support.factories import user_identity

PEOPLE = 500
BUSY = 9  # every fifth call goes to this API
_TURNS = 15
_FOLDER = Path(__file__).parent


def _of(kind: str, number: int) -> str:
    return f"md5('{kind} {number}')::uuid"


TENANT, API, PERSON = _of("tenant", 7), _of("api", 7), _of("person", 7)
TENANTS = f"in ({TENANT}, {_of('tenant', 8)})"


@dataclass(frozen=True, slots=True)
class Question:
    """`where` is what is asked with; `meaning` what it comes to when no policy adds to it."""

    name: str
    what: str
    where: str
    meaning: str = ""

    def sql(self, *, is_service: bool) -> str:
        """The statement of one of the two."""
        where = self.meaning or self.where if is_service else self.where
        return f"select {self.what} where {where}"


_USAGE, _LEDGER = "sum(response_time_us) from api_usage", "sum(amount_nano_usd) from ledger"
EITHER = f"tenant_id {TENANTS} or caller_tenant_id {TENANTS}"
LARGE = (
    Question("calls of a tenant's APIs", _USAGE, f"tenant_id = {TENANT}"),
    Question("calls by a tenant's keys", _USAGE, f"caller_tenant_id = {TENANT}"),
    Question("all calls one may see, no filter", _USAGE, "true", EITHER),
    Question("analytics of an API", f"api_analytics({API}, now() - interval '7 days')", "true"),
    Question("movements of an account", _LEDGER, f"account = {TENANT}"),
    Question("all movements, no filter", _LEDGER, "true", f"account {TENANTS}"),
)
SMALL = (
    Question("calls by id of an API", _USAGE, f"api_id = {API}"),
    Question("balance", "count(*) from ledger_balances", f"account = {TENANT}"),
    Question("values an API keeps", "count(*) from api_kv", f"api_id = {API}"),
    Question("APIs of a tenant", "count(*) from apis", f"tenant_id = {TENANT}"),
    Question("versions of an API", "count(*) from api_versions", f"api_id = {API}"),
    Question("deployments of an API", "count(*) from deployments", f"api_id = {API}"),
    Question("keys of a tenant", "count(*) from consumer_api_keys", f"tenant_id = {TENANT}"),
    Question("keys that open an API", "count(*) from consumer_api_key_apis", f"api_id = {API}"),
    Question("secrets of an API", "count(*) from api_secrets", f"api_id = {API}"),
    Question("counters", "count(*) from rate_limit_usage", f"subject = 'tenant:' || {TENANT}"),
    Question("audit log", "count(*) from audit_log", f"actor_id = {PERSON}"),
    Question("tenants", "count(*) from tenants", f"id {TENANTS}"),
    Question("memberships", "count(*) from tenant_members", f"user_id = {PERSON}"),
)


def measure(report: Report, calls: int, many: int) -> None:
    """What policies cost over `calls` calls, then sums over `many` in the same database."""
    asyncio.run(_measure(report, calls, many))


async def _measure(report: Report, calls: int, many: int) -> None:
    async with _database() as (administrator, connection):
        await _fill(administrator, "policies.sql", people=PEOPLE)
        await _fill(administrator, "policies_calls.sql", people=PEOPLE, first=1, last=calls)
        await _policies(connection, report, calls)
        await _fill(administrator, "policies_calls.sql", people=PEOPLE, first=calls + 1, last=many)
        await _analytics(connection, report, many, "summed from calls")
        took = await _roll_up(administrator)
        found = await _analytics(connection, report, many, "summed up by day")
    report.add(Row("once an hour", "summing up sixty days", {"s": round(took, 1)}))
    report.judge(
        Bar(f"analytics page of an API, {many} calls in all, ms", found[7, 7], 50),
        Bar("the same of one that has every fifth call, ms", found[BUSY, 7], 50),
    )


async def _policies(connection: asyncpg.Connection, report: Report, calls: int) -> None:
    section = f"row-level security: {calls} calls, {PEOPLE} people, execution alone"
    ratios, added = [], []
    for question in (*LARGE, *SMALL):
        service, person = await _compared(connection, question)
        values = {
            "service ms": round(service, 3),
            "person ms": round(person, 3),
            "ratio": round(person / service, 2),
        }
        report.add(Row(section, question.name, dict(values)))
        if question in LARGE:
            ratios.append(person / service)
        else:
            added.append(person - service)
    report.judge(
        Bar("policy over no policy, worst of large tables", max(ratios), 1.5),
        Bar("policy adds to a look-up at most, ms", max(added), 1),
    )


async def _compared(connection: asyncpg.Connection, question: Question) -> tuple[float, float]:
    """Medians of the service and of a person, one after the other in turns."""
    service, person = [], []
    for _ in range(_TURNS):
        service.append(await _took(connection, SERVICE, question.sql(is_service=True)))
        person.append(await _took(connection, _person(7), question.sql(is_service=False)))
    return median(service), median(person)


async def _analytics(
    connection: asyncpg.Connection, report: Report, many: int, how: str
) -> dict[tuple[int, int], float]:
    """Medians by API and days."""
    section = f"analytics page over {many} calls, as the owner reads it, {how}"
    found = {}
    for name, api in (("an API as others", 7), ("one with every fifth call", BUSY)):
        for days in (7, 30, 90):
            sql = f"select api_usage_sums({_of('api', api)}, now() - interval '{days} days')"
            times = [await _took(connection, _person(api), sql) for _ in range(_TURNS)]
            found[api, days] = median(times)
            report.add(Row(section, f"{name}, {days} days", {"p50 ms": round(median(times), 1)}))
    return found


async def _roll_up(administrator: asyncpg.Connection) -> float:
    """As the worker does; answers how many seconds it took."""
    begin = time.monotonic()
    step = "select public.roll_up_usage((now() - interval '90 days')::date)"
    while await administrator.fetchval(step, timeout=900) is not None:
        pass
    await administrator.execute("vacuum analyze public.usage_rollups")
    return time.monotonic() - begin


# --- parts --------------------------------------------------------------------------------


async def _took(connection: asyncpg.Connection, identity: Identity, sql: str) -> float:
    """Milliseconds of execution."""
    async with connection.transaction():
        await connection.execute(
            "select set_config('role', $1, true), set_config('request.jwt.claims', $2, true)",
            identity.role,
            identity.claims,
        )
        plan = await connection.fetchval(f"explain (analyze, timing off, format json) {sql}")
    milliseconds: float = json.loads(plan)[0]["Execution Time"]
    return milliseconds


def _person(number: int) -> Identity:
    """Owner of the tenant of this number, and viewer of the next one."""
    digest = hashlib.md5(f"person {number}".encode(), usedforsecurity=False).hexdigest()
    return user_identity(str(UUID(digest)))


async def _fill(administrator: asyncpg.Connection, name: str, **numbers: int) -> None:
    """Run a file; triggers and keys of other tables stay out of the way."""
    sql = (_FOLDER / name).read_text()
    for word, number in numbers.items():
        sql = sql.replace(f":{word}", str(number))
    await administrator.execute(f"set session_replication_role = replica; {sql}", timeout=900)
    await administrator.execute("vacuum analyze", timeout=900)


@asynccontextmanager
async def _database() -> AsyncIterator[tuple[asyncpg.Connection, asyncpg.Connection]]:
    """A server of its own: connections of its administrator and of whom the gateway is."""
    settings: Mapping[str, str] = {"fsync": "off", "synchronous_commit": "off"}
    with tempfile.TemporaryDirectory(prefix="sgb") as folder:
        server = EmbeddedPostgres(Path(folder), settings=dict(settings))
        await server.start()
        try:
            await migrate(server.socket_dir)
            administrator = await asyncpg.connect(server.dsn("supabase_admin"))
            connection = await asyncpg.connect(server.dsn("authenticator"))
            try:
                yield administrator, connection
            finally:
                await administrator.close()
                await connection.close()
        finally:
            await server.stop()

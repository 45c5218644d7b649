"""Two tenants that have everything, and everybody who might look: made once for a whole matrix."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import asyncpg

from gateway.store.database import ANONYMOUS, SERVICE, Database, Identity, Row
from tests.supabase.matrix import MATRIX, Operation, Rights, Verdict
from tests.support.factories import add_member, make_api, make_tenant, make_user, usage_call


@dataclass(frozen=True, slots=True)
class Side:
    """What one tenant has; the names are what `Rights.at` and `Rights.made_by` may use."""

    owner: str
    tenant: str
    api: str
    version: str
    key: str
    counter: str
    plan: str = "free"


@dataclass(frozen=True, slots=True)
class Scene:
    """`ours` is the tenant of the members, `theirs` that of the stranger."""

    ours: Side
    theirs: Side
    identities: Mapping[str, Identity]
    rows: Mapping[str, tuple[Row, Row]]  # by table: ours and theirs


async def make_scene(database: Database, dsn: str) -> Scene:
    """Everything that is asked about; `dsn` is the owner's address."""
    people = {role: await make_user(dsn) for role in ("owner", "admin", "developer", "viewer")}
    stranger = await make_user(dsn)
    team = await make_tenant(database, people["owner"])
    for role in ("admin", "developer", "viewer"):
        await add_member(database, team, people[role].id, role)
    ours = await _side(database, people["owner"].id, team)
    theirs = await _side(database, stranger.id, stranger.tenant_id)
    await _money_moves(database, ours, theirs)
    connection = await asyncpg.connect(dsn)
    try:
        for side in (ours, theirs):
            await _fill(connection, side)
        rows = {
            table: (await _row(connection, table, ours), await _row(connection, table, theirs))
            for table in MATRIX
        }
    finally:
        await connection.close()
    identities = {role: person.identity for role, person in people.items()}
    others = {"stranger": stranger.identity, "anonymous": ANONYMOUS, "service": SERVICE}
    return Scene(ours, theirs, {**identities, **others}, rows)


async def _side(database: Database, owner: str, tenant: str) -> Side:
    api = await make_api(database, tenant, created_by=owner)
    call = usage_call(api, time.time(), limits=[[f"tenant:{tenant}", "hour"]])
    await database.rpc("record_usage", {"p_calls": [call]}, identity=SERVICE)
    return Side(owner, tenant, api.id, api.version_id, api.key.id, f"tenant:{tenant}")


async def _money_moves(database: Database, *sides: Side) -> None:
    for side in sides:
        grant = {"p_tenant": side.tenant, "p_amount": 5, "p_key": "first", "p_actor": side.owner}
        await database.rpc("grant_credit", grant, identity=SERVICE)


async def _fill(connection: asyncpg.Connection, side: Side) -> None:
    quoted = {name: f"'{value}'" for name, value in asdict(side).items()}
    for rights in MATRIX.values():
        if rights.made_by:
            await connection.execute(rights.made_by.format(**quoted))


async def _row(connection: asyncpg.Connection, table: str, side: Side) -> Row:
    rights = MATRIX[table]
    found = await connection.fetchval(
        f"select to_jsonb(one)::text from public.{table} as one where {rights.at[0]}::text = $1",
        _value(rights, side),
    )
    if found is None:
        raise LookupError(f"No row of {table}: say `made_by` in tests/supabase/matrix.py")
    row: Row = json.loads(found)
    return row


def _value(rights: Rights, side: Side) -> str:
    value: str = getattr(side, rights.at[1])
    return value


# --- asking -------------------------------------------------------------------------------


async def verdict_of(
    connection: asyncpg.Connection, scene: Scene, table: str, operation: Operation, actor: str
) -> Verdict:
    """What becomes of the operation on our row and on theirs; nothing of it stays."""
    rights, identity = MATRIX[table], scene.identities[actor]
    found = []
    for side, row in zip((scene.ours, scene.theirs), scene.rows[table], strict=True):
        if operation == "insert":
            statement, value = _insertion(table), json.dumps(row)
        else:
            visible = [name for name in row if actor == "service" or name not in rights.hidden]
            statement = _statement(table, operation, rights.at[0], visible)
            value = _value(rights, side)
        found.append(await attempt(connection, identity, statement, value))
    ours, theirs = found
    if ours is None:
        return "refused"
    if ours == 0:
        return "none"
    return "all" if theirs else "own"


async def attempt(
    connection: asyncpg.Connection, identity: Identity, statement: str, *values: str
) -> int | None:
    """How many rows it found or touched, None when it was refused; taken back at once."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(
            "select set_config('role', $1, true), set_config('request.jwt.claims', $2, true)",
            identity.role,
            identity.claims,
        )
        status = await connection.execute(statement, *values)
    except asyncpg.InsufficientPrivilegeError:
        return None
    except asyncpg.IntegrityConstraintViolationError:
        return 1  # as far as that comes only who may write
    finally:
        await transaction.rollback()
    return int(status.rpartition(" ")[2])


def _insertion(table: str) -> str:
    return (
        f"insert into public.{table} overriding system value"
        f" select * from jsonb_populate_record(null::public.{table}, $1::jsonb)"
    )


def _statement(table: str, operation: Operation, column: str, visible: Sequence[str]) -> str:
    where = f"where {column}::text = $1"
    if operation == "update":
        return f"update public.{table} set {column} = {column} {where}"
    if operation == "delete":
        return f"delete from public.{table} {where}"
    names = ", ".join(f'"{name}"' for name in visible)
    return f"select {names} from public.{table} {where}"

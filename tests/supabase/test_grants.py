"""Rules over the whole schema: nothing is open that was not opened on purpose."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from gateway.store.embedded import EmbeddedPostgres
from tests.supabase.matrix import ADVICE, FUNCTIONS_OF_PEOPLE, MATRIX, SERVICE
from tests.supabase.matrix_scene import Scene

# tables, partitioned tables, views, materialised views, foreign tables: all that can be selected
RELATIONS = """
select relname as name, relkind::text as kind, relispartition as is_partition,
       relrowsecurity as secured, coalesce(reloptions, '{}') as options,
       (select count(*) from pg_policy where polrelid = pg_class.oid) as policies
  from pg_class
 where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f')
"""
TABLE_KINDS = ("r", "p")


@pytest.fixture
async def owner(
    postgres: EmbeddedPostgres, shared_scene: tuple[str, Scene]
) -> AsyncIterator[asyncpg.Connection]:
    """The owner of the schema; nothing is changed here, so one database does for all."""
    connection = await asyncpg.connect(postgres.dsn("postgres", shared_scene[0]))
    yield connection
    await connection.close()


async def relations(owner: asyncpg.Connection) -> list[asyncpg.Record]:
    found: list[asyncpg.Record] = await owner.fetch(RELATIONS)
    return found


async def test_every_table_has_row_security_and_a_policy(owner: asyncpg.Connection) -> None:
    tables = [one for one in await relations(owner) if one["kind"] in TABLE_KINDS]
    assert tables
    open_ones = [one["name"] for one in tables if not one["secured"]]
    assert not open_ones, f"alter table … enable row level security: {open_ones}"
    mute = [one["name"] for one in tables if not one["policies"]]
    assert not mute, f"no policy says who reads: {mute}"


async def test_every_table_and_view_is_in_the_matrix(owner: asyncpg.Connection) -> None:
    there = {one["name"] for one in await relations(owner)}
    assert there - MATRIX.keys() == set(), ADVICE
    assert MATRIX.keys() - there == set(), "these are in the matrix and not in the database"


async def test_a_view_shows_what_its_reader_may_read(owner: asyncpg.Connection) -> None:
    for view in await relations(owner):
        if view["kind"] == "v":
            assert "security_invoker=true" in view["options"], view["name"]


async def test_nothing_that_knows_no_row_security_is_within_reach(
    owner: asyncpg.Connection,
) -> None:
    assert [one["name"] for one in await relations(owner) if one["kind"] in ("m", "f")] == []


async def test_a_partition_cannot_be_addressed_past_its_parent(owner: asyncpg.Connection) -> None:
    partitions = await owner.fetch(
        "select oid::regclass::text as name, relrowsecurity as secured,"
        "       relnamespace = 'public'::regnamespace as reached"
        "  from pg_class where relispartition and relkind in ('r', 'p')"
    )
    assert partitions
    for partition in partitions:
        name = partition["name"]
        assert not partition["reached"], f"{name} is in schema public"
        assert partition["secured"], name
        for role in ("anon", "authenticated", "service_role"):
            assert await rights_of(owner, role, name) == set(), (role, name)


async def rights_of(owner: asyncpg.Connection, role: str, relation: str) -> set[str]:
    asked = ("select", "insert", "update", "delete", "truncate", "references", "trigger")
    return {
        right
        for right in asked
        if await owner.fetchval("select has_table_privilege($1, $2, $3)", role, relation, right)
    }


async def test_people_have_no_right_on_a_table_out_of_reach(owner: asyncpg.Connection) -> None:
    tables = await owner.fetch(
        "select oid::regclass::text as name from pg_class"
        " where relnamespace = 'private'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f')"
    )
    assert tables
    for table in tables:
        for role in ("anon", "authenticated"):
            assert await rights_of(owner, role, table["name"]) == set(), (role, table["name"])


async def test_people_draw_no_numbers(owner: asyncpg.Connection) -> None:
    sequences = await owner.fetch(
        "select oid::regclass::text as name from pg_class where relkind = 'S'"
        " and relnamespace in ('public'::regnamespace, 'private'::regnamespace)"
    )
    for sequence in sequences:
        for role in ("anon", "authenticated"):
            asked = "select has_sequence_privilege($1, $2, 'usage, select, update')"
            assert not await owner.fetchval(asked, role, sequence["name"]), sequence["name"]


async def test_no_column_is_granted_past_the_matrix(owner: asyncpg.Connection) -> None:
    for table, rights in MATRIX.items():
        columns = await owner.fetch(
            "select attname as name, has_column_privilege('authenticated', attrelid, attnum,"
            " 'select') as shown from pg_attribute"
            " where attrelid = $1::text::regclass and attnum > 0 and not attisdropped",
            f"public.{table}",
        )
        if rights.select == SERVICE:
            assert not [column["name"] for column in columns if column["shown"]], table
        else:
            hidden = {column["name"] for column in columns if not column["shown"]}
            assert hidden == set(rights.hidden), f"{table}: say what is `hidden` in the matrix"


async def test_every_policy_names_its_roles_and_only_reads(owner: asyncpg.Connection) -> None:
    policies = await owner.fetch("select * from pg_policies where schemaname = 'public'")
    for policy in policies:
        assert set(policy["roles"]) <= {"anon", "authenticated"}, policy["policyname"]
        assert policy["cmd"] == "SELECT", policy["policyname"]


async def test_nobody_but_the_gateway_writes(owner: asyncpg.Connection) -> None:
    for table in MATRIX:
        for role in ("anon", "authenticated"):
            for right in ("insert", "update", "delete", "truncate", "references", "trigger"):
                granted = await owner.fetchval(
                    "select has_table_privilege($1, $2, $3)", role, f"public.{table}", right
                )
                assert not granted, (role, right, table)


async def test_history_can_only_grow(owner: asyncpg.Connection) -> None:
    for table in [table for table, rights in MATRIX.items() if rights.only_grows]:
        for right in ("update", "delete", "truncate"):
            granted = await owner.fetchval(
                "select has_table_privilege('service_role', $1, $2)", f"public.{table}", right
            )
            assert not granted, (right, table)


async def test_people_call_the_functions_that_are_listed(owner: asyncpg.Connection) -> None:
    functions = await owner.fetch(
        "select oid::regprocedure::text as name,"
        "       has_function_privilege('anon', oid, 'execute')"
        "       or has_function_privilege('authenticated', oid, 'execute') as is_open,"
        "       has_function_privilege('service_role', oid, 'execute') as serves"
        "  from pg_proc"
        " where pronamespace in ('public'::regnamespace, 'private'::regnamespace)"
    )
    assert functions
    opened = {function["name"] for function in functions if function["is_open"]}
    assert opened - FUNCTIONS_OF_PEOPLE.keys() == set(), (
        "revoke execute from public, anon and authenticated, or give the reason in"
        " FUNCTIONS_OF_PEOPLE in tests/supabase/matrix.py"
    )
    assert FUNCTIONS_OF_PEOPLE.keys() - opened == set(), "listed, and people cannot call them"
    assert [function["name"] for function in functions if not function["serves"]] == []


async def test_what_people_call_runs_as_them_or_asks_who_they_are(
    owner: asyncpg.Connection,
) -> None:
    for signature in FUNCTIONS_OF_PEOPLE:
        careful = await owner.fetchval(
            "select not prosecdef or prosrc like '%auth.uid()%'"
            "  from pg_proc where oid = $1::text::regprocedure",
            signature,
        )
        assert careful, f"{signature} is security definer and never asks auth.uid()"


async def test_every_function_pins_its_search_path(owner: asyncpg.Connection) -> None:
    functions = await owner.fetch(
        "select oid::regprocedure::text as name, proconfig from pg_proc"
        " where pronamespace in ('public'::regnamespace, 'private'::regnamespace)"
    )
    for function in functions:
        assert 'search_path=""' in (function["proconfig"] or []), function["name"]


async def test_no_function_name_is_overloaded(owner: asyncpg.Connection) -> None:
    names = await owner.fetch(
        "select proname from pg_proc where pronamespace = 'public'::regnamespace"
        " group by proname having count(*) > 1"
    )
    assert names == []


async def test_private_schema_is_closed_to_people(owner: asyncpg.Connection) -> None:
    for role in ("anon", "authenticated"):
        assert not await owner.fetchval("select has_schema_privilege($1, 'private', 'usage')", role)


async def test_every_foreign_key_has_an_index(owner: asyncpg.Connection) -> None:
    missing = await owner.fetch(
        """
        select conrelid::regclass::text as "table", conname from pg_constraint
         where contype = 'f' and connamespace = 'public'::regnamespace
           and confrelid <> 'public.plans'::regclass
           and not exists (
                select from pg_index
                 where indrelid = conrelid and indkey[0] = conkey[1]
           )
        """
    )
    assert [dict(row) for row in missing] == []


async def test_the_login_role_itself_may_do_nothing(owner: asyncpg.Connection) -> None:
    for table in MATRIX:
        granted = await owner.fetchval(
            "select has_table_privilege('authenticator', $1, 'select')", f"public.{table}"
        )
        assert not granted, table

"""Rules over the whole schema: nothing is open that was not opened on purpose."""

import asyncpg

from tests.supabase.test_row_security import MATRIX

TABLES = """
select relname as name, relrowsecurity as secured,
       (select count(*) from pg_policy where polrelid = pg_class.oid) as policies
  from pg_class
 where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
"""
APPEND_ONLY = {"api_versions", "api_usage", "usage_days", "audit_log", "ledger", "ledger_balances"}


async def test_every_table_has_row_security_and_a_policy(owner: asyncpg.Connection) -> None:
    for table in await owner.fetch(TABLES):
        assert table["secured"], table["name"]
        assert table["policies"] > 0, table["name"]


async def test_every_table_is_in_the_matrix(owner: asyncpg.Connection) -> None:
    assert {table["name"] for table in await owner.fetch(TABLES)} == set(MATRIX)


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
    for table in APPEND_ONLY:
        for right in ("update", "delete", "truncate"):
            granted = await owner.fetchval(
                "select has_table_privilege('service_role', $1, $2)", f"public.{table}", right
            )
            assert not granted, (right, table)


async def test_functions_are_executable_by_the_gateway_alone(owner: asyncpg.Connection) -> None:
    functions = await owner.fetch(
        "select oid, oid::regprocedure::text as name, proconfig from pg_proc"
        " where pronamespace in ('public'::regnamespace, 'private'::regnamespace)"
    )
    assert functions
    for function in functions:
        asked = "select has_function_privilege($1, $2::oid, 'execute')"
        for role in ("anon", "authenticated"):
            assert not await owner.fetchval(asked, role, function["oid"]), function["name"]
        assert await owner.fetchval(asked, "service_role", function["oid"]), function["name"]


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

"""Who may do what: every cell of the matrix tried under the real roles, and taken back."""

from itertools import product
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from gateway.store.database import Identity
from tests.supabase import matrix_page
from tests.supabase.matrix import ACTORS, MATRIX, OPERATIONS, PEOPLE, Operation
from tests.supabase.matrix_scene import Scene, attempt, verdict_of

PAGE = Path(__file__).parents[2] / "docs" / "row-security.md"
PRIVATE_TABLES = [
    table for table, rights in MATRIX.items() if rights.of("select")["stranger"] == "none"
]
HIDDEN = [(table, column) for table, rights in MATRIX.items() for column in rights.hidden]


@pytest.mark.parametrize(("table", "operation"), list(product(MATRIX, OPERATIONS)))
async def test_the_matrix(
    asking: asyncpg.Connection, scene: Scene, table: str, operation: Operation
) -> None:
    found = {actor: await verdict_of(asking, scene, table, operation, actor) for actor in ACTORS}
    assert found == MATRIX[table].of(operation)


@pytest.mark.parametrize(("table", "column"), HIDDEN)
async def test_a_hidden_column_is_read_by_the_gateway_alone(
    asking: asyncpg.Connection, scene: Scene, table: str, column: str
) -> None:
    for columns in (column, "*", f"count({column})"):
        for actor in (*PEOPLE, "anonymous"):
            statement = f"select {columns} from public.{table}"
            assert await attempt(asking, scene.identities[actor], statement) is None, actor
    assert await attempt(
        asking, scene.identities["service"], f"select {column} from public.{table}"
    )


@pytest.mark.parametrize(("table", "column"), HIDDEN)
async def test_a_hidden_column_cannot_be_guessed_at(
    asking: asyncpg.Connection, scene: Scene, table: str, column: str
) -> None:
    for clause in (f"where {column} is not null", f"order by {column}", f"group by {column}"):
        statement = f"select 1 from public.{table} {clause}"
        assert await attempt(asking, scene.identities["owner"], statement) is None, clause


async def test_membership_that_ends_ends_the_sight(
    asking: asyncpg.Connection, scene: Scene
) -> None:
    viewer = scene.identities["viewer"]
    statement = "select 1 from public.api_versions"
    assert await attempt(asking, viewer, statement) == 1
    transaction = asking.transaction()
    await transaction.start()
    try:
        await asking.execute("set local role service_role")
        await asking.execute("delete from public.tenant_members where role = 'viewer'")
        assert await attempt(asking, viewer, statement) == 0
    finally:
        await transaction.rollback()


@pytest.mark.parametrize("claims", [f'{{"sub":"{UUID(int=7)}","role":"authenticated"}}', "{}", ""])
async def test_whoever_is_nobody_finds_nothing(asking: asyncpg.Connection, claims: str) -> None:
    for table in PRIVATE_TABLES:
        statement = f"select 1 from public.{table}"
        assert await attempt(asking, Identity("authenticated", claims), statement) == 0, table


async def test_a_word_in_the_claims_makes_nobody_the_service(
    asking: asyncpg.Connection, scene: Scene
) -> None:
    claims = scene.identities["stranger"].claims.replace('"authenticated"', '"service_role"')
    found = await attempt(
        asking,
        Identity("authenticated", claims),
        "select 1 from public.apis where id::text = $1",
        scene.ours.api,
    )
    assert found == 0


def test_the_page_is_the_one_that_was_made() -> None:
    command = "python -m tests.supabase.matrix_page > docs/row-security.md"
    assert PAGE.read_text() == matrix_page.page(), f"run: {command}"

"""Code, SQL and page have the same table of roles and operations."""

from pathlib import Path

import asyncpg

from gateway.auth.permissions import ALLOWED
from tests.support import roles_page

PAGE = Path(__file__).parents[3] / "docs" / "tenants.md"


async def test_the_database_allows_what_the_code_allows(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch("select role, operation from private.role_operations")
    code = {(str(role), str(each)) for role, allowed in ALLOWED.items() for each in allowed}
    in_sql = {(row["role"], row["operation"]) for row in rows}
    said = "a new migration changes private.role_operations"
    assert code - in_sql == set(), said
    assert in_sql - code == set(), said


def test_the_page_shows_the_table_of_the_code() -> None:
    command = "python -m tests.support.roles_page"
    assert roles_page.table() in PAGE.read_text(), f"put into the page what {command} prints"

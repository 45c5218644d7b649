"""What the operator does to people: list, change, ban, delete."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from gateway.errors import ConflictError
from gateway.store.auth_accounts import COLUMNS, Account, account_of


class StillNeededError(ConflictError):
    """Something that is kept refers to the person."""

    title = "Something that is kept refers to this person"


class PeopleStatements:
    """The statements, each within the transaction it was made for."""

    def __init__(self, connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]") -> None:
        self._connection = connection

    async def page(self, offset: int, limit: int) -> tuple[list[Account], int]:
        """People, the newest first, and how many there are in all."""
        total: int = await self._connection.fetchval(
            "select count(*) from auth.users where deleted_at is null"
        )
        rows = await self._connection.fetch(
            f"select {COLUMNS} from auth.users u where u.deleted_at is null"  # noqa: S608
            " order by u.created_at desc, u.id limit $1 offset $2",
            limit,
            offset,
        )
        return [account_of(row) for row in rows], total

    async def set_app_metadata(self, user_id: UUID, metadata: Mapping[str, Any]) -> None:
        """Replace what the operator says about a person."""
        await self._connection.execute(
            """update auth.users set raw_app_meta_data = $2::text::jsonb, updated_at = now()
                where id = $1""",
            user_id,
            json.dumps(metadata),
        )

    async def ban(self, user_id: UUID, until: datetime | None) -> None:
        """Close an account until then, or open it again."""
        await self._connection.execute(
            "update auth.users set banned_until = $2, updated_at = now() where id = $1",
            user_id,
            until,
        )

    async def delete(self, user_id: UUID) -> None:
        """Delete a person and what belongs to nobody else."""
        try:
            async with self._connection.transaction():
                await self._connection.execute("delete from auth.users where id = $1", user_id)
        except asyncpg.ForeignKeyViolationError as error:
            raise StillNeededError from error

"""A person as stored, and the columns that make one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from gateway.errors import ConflictError
from gateway.store.auth_factors import FACTORS_COLUMN, Factor, factors_of

COLUMNS = f"""u.id, u.email, u.encrypted_password, u.raw_app_meta_data::text as app_metadata,
  u.raw_user_meta_data::text as user_metadata, u.email_confirmed_at, u.last_sign_in_at,
  u.created_at, u.updated_at, coalesce(u.banned_until > now(), false) as banned,
  u.email_change, u.banned_until,
  {FACTORS_COLUMN}"""


class EmailTakenError(ConflictError):
    """Another person has this address."""

    code, title = "email_taken", "The e-mail address is registered"


@dataclass(frozen=True, slots=True)
class Account:
    """One person as stored."""

    id: UUID
    email: str
    password_hash: str | None
    app_metadata: Mapping[str, Any]
    user_metadata: Mapping[str, Any]
    confirmed_at: datetime | None
    signed_in_at: datetime | None
    created_at: datetime
    updated_at: datetime
    banned: bool
    factors: tuple[Factor, ...]
    new_email: str | None
    banned_until: datetime | None


def account_of(row: asyncpg.Record) -> Account:
    """From a row of these columns."""
    return Account(
        id=row["id"],
        email=row["email"] or "",
        password_hash=row["encrypted_password"] or None,
        app_metadata=json.loads(row["app_metadata"] or "{}"),
        user_metadata=json.loads(row["user_metadata"] or "{}"),
        confirmed_at=row["email_confirmed_at"],
        signed_in_at=row["last_sign_in_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        banned=row["banned"],
        factors=factors_of(row["factors"]),
        new_email=row["email_change"] or None,
        banned_until=row["banned_until"],
    )

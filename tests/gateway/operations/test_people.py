"""Making admins: new people, people who are there, again and at once."""

import asyncio

import pytest

from gateway.auth.issuer.errors import ValidationError, WeakPasswordError
from gateway.operations.people import AdminMade, create_admin
from gateway.store.database import SERVICE, Database, Filter, Row
from tests.support.issuer import RunningIssuer

EMAIL = "root@example.com"
PASSWORD = "correct horse"


async def make(
    issuer: RunningIssuer, database: Database, email: str = EMAIL, password: str = PASSWORD
) -> AdminMade:
    return await create_admin(
        email, password, users=issuer.users, passwords=issuer.passwords, database=database
    )


async def audit_rows(database: Database, made: AdminMade) -> list[Row]:
    return await database.select(
        "audit_log", where=[Filter("target_id", "eq", str(made.user_id))], identity=SERVICE
    )


async def test_new_admin_signs_in_and_is_one(issuer: RunningIssuer, database: Database) -> None:
    made = await make(issuer, database, " Root@Example.com")
    assert (made.email, made.created) == (EMAIL, True)
    session = (await issuer.sign_in(EMAIL, PASSWORD)).json()
    person = await issuer.sessions.verify(session["access_token"])
    assert (person.user_id, person.is_admin) == (made.user_id, True)


async def test_person_who_is_there_becomes_admin_with_the_new_password(
    issuer: RunningIssuer, database: Database
) -> None:
    before = await issuer.sign_up(EMAIL, "the old password")
    made = await make(issuer, database)
    assert (str(made.user_id), made.created) == (before["user"]["id"], False)
    assert (await issuer.sign_in(EMAIL, "the old password")).status_code == 400
    session = (await issuer.sign_in(EMAIL, PASSWORD)).json()
    assert (await issuer.sessions.verify(session["access_token"])).is_admin


async def test_new_password_ends_the_sessions_of_the_old_one(
    issuer: RunningIssuer, database: Database
) -> None:
    before = await issuer.sign_up(EMAIL, "the old password")
    await make(issuer, database)
    assert (await issuer.user(before["access_token"])).status_code == 403


async def test_the_same_again_changes_nothing(issuer: RunningIssuer, database: Database) -> None:
    first = await make(issuer, database)
    session = (await issuer.sign_in(EMAIL, PASSWORD)).json()
    second = await make(issuer, database)
    assert (second.user_id, second.created) == (first.user_id, False)
    assert (await issuer.user(session["access_token"])).status_code == 200


async def test_two_at_once_make_one_admin(issuer: RunningIssuer, database: Database) -> None:
    made = await asyncio.gather(*(make(issuer, database) for _ in range(4)))
    assert len({one.user_id for one in made}) == 1
    assert [one.created for one in made].count(True) == 1


async def test_every_making_is_in_the_audit_log(issuer: RunningIssuer, database: Database) -> None:
    made = await make(issuer, database)
    rows = await audit_rows(database, made)
    assert {row["action"] for row in rows} == {"user.create_admin", "user.set_admin"}
    assert PASSWORD not in str(rows)


@pytest.mark.parametrize("password", ["short", "x" * 1025, "nul\0nul\0nul"])
async def test_weak_password_makes_nobody(
    issuer: RunningIssuer, database: Database, password: str
) -> None:
    with pytest.raises(WeakPasswordError):
        await make(issuer, database, password=password)
    assert (await issuer.sign_in(EMAIL, password)).status_code == 400


@pytest.mark.parametrize("email", ["", "root", "root@example.com\n"])
async def test_address_that_is_none_makes_nobody(
    issuer: RunningIssuer, database: Database, email: str
) -> None:
    with pytest.raises(ValidationError):
        await make(issuer, database, email)

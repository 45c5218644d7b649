"""Roles and operations: the whole table, and what each kind of subject is told."""

from uuid import UUID

import pytest

from gateway.auth.permissions import (
    ALLOWED,
    Operation,
    Role,
    permitted,
    require_admin,
)
from gateway.auth.subject import Admin, Anonymous, User
from gateway.errors import ForbiddenError, UnauthorizedError

PERSON = User(UUID(int=1), "a@b.example", UUID(int=2), is_admin=False, claims="{}")
ADMINISTRATOR = User(UUID(int=1), "a@b.example", UUID(int=2), is_admin=True, claims="{}")

# one letter per role that may: owner, admin, developer, viewer
TABLE = {
    Operation.READ: "oadv",
    Operation.READ_USAGE: "oadv",
    Operation.READ_LOGS: "oad",
    Operation.CREATE_API: "oad",
    Operation.CHANGE_API: "oad",
    Operation.READ_SECRETS: "oad",
    Operation.CHANGE_SECRETS: "oad",
    Operation.DEPLOY: "oad",
    Operation.MANAGE_KEYS: "oad",
    Operation.DELETE_API: "oa",
    Operation.MANAGE_MEMBERS: "oa",
    Operation.CHANGE_TENANT: "oa",
    Operation.DELETE_TENANT: "o",
}


def test_every_operation_and_role_is_decided() -> None:
    assert set(TABLE) == set(Operation)
    assert set(ALLOWED) == set(Role)


@pytest.mark.parametrize("operation", Operation)
@pytest.mark.parametrize("role", Role)
def test_table(role: Role, operation: Operation) -> None:
    assert permitted(role, operation) is (role.value[0] in TABLE[operation])


@pytest.mark.parametrize("operation", Operation)
def test_no_role_allows_nothing(operation: Operation) -> None:
    assert not permitted(None, operation)


@pytest.mark.parametrize("subject", [Admin(), ADMINISTRATOR])
def test_admins_of_the_installation_pass(subject: Admin | User) -> None:
    require_admin(subject)


def test_people_are_no_admins() -> None:
    with pytest.raises(ForbiddenError):
        require_admin(PERSON)


def test_nobody_is_asked_to_sign_in_for_admin_work() -> None:
    with pytest.raises(UnauthorizedError):
        require_admin(Anonymous())

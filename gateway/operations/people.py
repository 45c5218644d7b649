"""What is done to people from outside the issuer: making somebody an admin."""

from dataclasses import dataclass
from uuid import UUID, uuid4

from gateway.auth.issuer.passwords import Passwords, check_password
from gateway.auth.issuer.requests import normal_email
from gateway.errors import ConflictError
from gateway.store.auth_users import Account, AuthUsers, EmailTakenError
from gateway.store.database import SERVICE, Database, Filter
from gateway.store.project_auth import ProjectAuth


@dataclass(frozen=True, slots=True)
class AdminMade:
    """Who is an admin now; `created` is false when the person was there already."""

    user_id: UUID
    email: str
    created: bool


async def create_admin(
    email: str, password: str, *, users: AuthUsers, passwords: Passwords, database: Database
) -> AdminMade:
    """Make an admin, or make the person with this address one, with this password.

    Each step can be repeated, so a call that was cut off is finished by calling again. A
    password that really changes ends the person's sessions.
    """
    email = normal_email(email)
    check_password(password)
    made = await _ensure_person(email, password, users, passwords)
    await make_admin(made, database)
    return made


async def create_project_admin(
    email: str, password: str, *, auth: ProjectAuth, database: Database
) -> AdminMade:
    """The same for a person of a Supabase project; its Auth keeps people and passwords."""
    email = normal_email(email)
    check_password(password)
    user_id = await auth.add(email, password)
    created = user_id is not None
    if user_id is None:
        user_id = await _id_of(email, database)
        await auth.set_password(user_id, password)
    made = AdminMade(user_id, email, created=created)
    await make_admin(made, database)
    return made


async def make_admin(made: AdminMade, database: Database) -> None:
    """A person who is there becomes an admin, and the audit log tells of it."""
    await database.insert("audit_log", [_audit_row(made)], identity=SERVICE)
    await database.rpc(
        "set_admin", {"p_user_id": str(made.user_id), "p_is_admin": True}, identity=SERVICE
    )


async def _id_of(email: str, database: Database) -> UUID:
    rows = await database.select(
        "user_profiles", identity=SERVICE, columns="id", where=[Filter("email", "eq", email)]
    )
    if not rows:  # a person from before our schema was there
        raise ConflictError(f"The project knows {email}, but has no profile for this person.")
    return UUID(str(rows[0]["id"]))


async def _ensure_person(
    email: str, password: str, users: AuthUsers, passwords: Passwords
) -> AdminMade:
    account = await _find(email, users)
    if account is not None:
        await _ensure_password(account, password, users, passwords)
        return AdminMade(account.id, email, created=False)
    password_hash = await passwords.hash(password)
    user_id = uuid4()
    try:
        async with users.transaction() as transaction:
            await transaction.add(user_id, email, password_hash, {})
    except EmailTakenError:  # somebody signed up in between: the same as having been there
        return await _ensure_person(email, password, users, passwords)
    return AdminMade(user_id, email, created=True)


async def _find(email: str, users: AuthUsers) -> Account | None:
    async with users.transaction() as transaction:
        return await transaction.by_email(email)


async def _ensure_password(
    account: Account, password: str, users: AuthUsers, passwords: Passwords
) -> None:
    if await passwords.matches(password, account.password_hash):
        return
    password_hash = await passwords.hash(password)
    async with users.transaction() as transaction:
        await transaction.set_password(account.id, password_hash)
        await transaction.end_sessions(account.id)


def _audit_row(made: AdminMade) -> dict[str, object]:
    return {
        "actor_id": None,
        "actor": "operator",
        "action": "user.create_admin",
        "target_type": "user",
        "target_id": str(made.user_id),
        "detail": {"email": made.email, "created": made.created},
    }

"""SQL functions called by name; what they refuse comes back as errors with a status and a code."""

import re
from collections.abc import Mapping
from typing import Any

from gateway.errors import SandgateError
from gateway.store.database import SERVICE, Database, DatabaseError

_OUTCOME = re.compile(r"PT(4\d\d)")
_STABLE_CODE = re.compile(r"[a-z][a-z_]{2,60}")

_TEXTS = {
    "name_taken": "An API of this name already exists in the tenant",
    "slug_taken": "This slug belongs to another API",
    "nothing_to_roll_back": "No earlier deployment of this API exists",
    "api_not_found": "No API of this id exists",
    "version_not_found": "The API has no version of this number",
    "key_not_found": "No key of this id exists",
    "tenant_not_found": "No tenant of this id exists",
    "nothing_to_share_with": "No other version is deployed that could take the rest",
    "not_deployed": "No version of this API is deployed",
    "unknown_plan": "No plan of this name exists",
    "api_suspended": "The API is suspended by an administrator",
    "tenant_suspended": "The tenant is suspended",
}
_TITLES = {403: "Not allowed", 404: "Not found", 409: "Conflict", 422: "Invalid input"}


class OutcomeError(SandgateError):
    """A SQL function answered with an outcome other than success."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(_TEXTS.get(code, code.replace("_", " ").capitalize()))
        self.status = status
        self.code = code
        self.title = _TITLES.get(status, "Refused")


def outcome_of(error: DatabaseError) -> OutcomeError | None:
    """The outcome inside a database error; None when the statement itself was at fault."""
    matched = _OUTCOME.fullmatch(error.sqlstate)
    if matched is None or not _STABLE_CODE.fullmatch(error.message):
        return None
    return OutcomeError(int(matched[1]), error.message)


async def call(database: Database, function: str, arguments: Mapping[str, Any]) -> Any:
    """Run a SQL function as the service; its value is JSON, hence untyped."""
    try:
        return await database.rpc(function, arguments, identity=SERVICE)
    except DatabaseError as error:
        outcome = outcome_of(error)
        if outcome is None:
            raise
        raise outcome from error

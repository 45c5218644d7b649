"""A statement that was refused, in our words; both ways to the database tell it alike."""

import http

from gateway.store.database import DatabaseError


def refusal(sqlstate: str, message: str, detail: str | None) -> DatabaseError:
    """`PTxyz` becomes a problem of status xyz; anything else is internal."""
    refused = DatabaseError(sqlstate, message)
    if sqlstate.startswith("PT") and sqlstate[2:].isdigit():
        refused.status = int(sqlstate[2:])
        refused.code = message
        refused.title = http.HTTPStatus(refused.status).phrase
        refused.detail = detail or refused.title
    return refused

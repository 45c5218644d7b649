"""Everything that is particular to asyncpg: connecting, and its errors in our words."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from gateway.store.database import DatabaseError, DatabaseUnavailableError
from gateway.store.refusal import refusal

# connection lost, out of resources, operator intervention (shutdown, cancelled by a timeout)
_AWAY = ("08", "53", "57")


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's failures into ours; nothing else of asyncpg leaves the store."""
    try:
        yield
    except asyncpg.PostgresError as error:
        raise from_postgres(error) from error
    except (TimeoutError, OSError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        # InterfaceError: the connection was closed under us, or the pool is closing;
        # InternalClientError: the server died so that the driver lost track of the connection
        raise DatabaseUnavailableError() from error


def from_postgres(error: asyncpg.PostgresError) -> DatabaseError | DatabaseUnavailableError:
    """The failure of one statement. `PTxyz` becomes a problem of status xyz."""
    state = str(error.sqlstate or "")
    if state.startswith(_AWAY) or isinstance(error, asyncpg.PostgresConnectionError):
        return DatabaseUnavailableError()
    message = str(getattr(error, "message", None) or error)
    return refusal(state, message, getattr(error, "detail", None))

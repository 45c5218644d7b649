"""Does what a request asks, and turns every failure into a code that the code inside can use."""

from typing import Any

import structlog

from gateway.data import wire
from gateway.errors import SandgateError, UnavailableError
from gateway.store.database import DatabaseError
from gateway.store.kv import KvStore, Page

_log = structlog.get_logger(__name__)

# what the store refuses, as it says it itself
_REFUSALS = {"invalid_key", "value_too_large", "quota_exceeded", "not_an_integer", "out_of_range"}
_NOT_AN_ID = "22P02"


async def perform(store: KvStore, api_id: str, request: wire.Request) -> Any:
    """The answer as plain JSON; raises RefusedError."""
    try:
        return await _perform(store, api_id, request)
    except UnavailableError as error:
        raise wire.RefusedError("unavailable", "the store does not answer; try again") from error
    except SandgateError as error:
        raise _refusal(error) from error


async def _perform(store: KvStore, api_id: str, request: wire.Request) -> Any:
    match request:
        case wire.Get(key):
            found = await store.get(api_id, key)
            return None if found is None else {"value": found.value}
        case wire.Set(key, value, seconds, if_absent, if_equals):
            return await store.set(
                api_id, key, value, seconds=seconds, if_absent=if_absent, if_equals=if_equals
            )
        case wire.Delete(key):
            return await store.delete(api_id, key)
        case wire.Increment(key, by, seconds):
            return await store.increment(api_id, key, by, seconds=seconds)
        case wire.List(prefix, after, limit, with_values):
            page = await store.list(
                api_id, prefix=prefix, after=after, limit=limit, with_values=with_values
            )
            return _page_json(page)


def _page_json(page: Page) -> dict[str, Any]:
    return {"keys": page.keys, "values": page.values, "is_complete": page.is_complete}


def _refusal(error: SandgateError) -> wire.RefusedError:
    if error.code in _REFUSALS:
        return wire.RefusedError(error.code, error.detail)
    if error.status == 404 or (isinstance(error, DatabaseError) and error.sqlstate == _NOT_AN_ID):
        return wire.RefusedError("not_found", "this API does not exist any more")
    _log.error("a_data_request_failed", exc_info=error)
    return wire.RefusedError("internal_error", "the store failed")

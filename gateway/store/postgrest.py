"""The `Database` over PostgREST, as a Supabase project has it."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx

from gateway.errors import SandgateError
from gateway.store.audit_context import told
from gateway.store.database import (
    SERVICE,
    Database,
    DatabaseError,
    DatabaseUnavailableError,
    Filter,
    Identity,
    Row,
)
from gateway.store.postgrest_errors import Refused, as_error, read
from gateway.store.postgrest_filter import condition, parts_of
from gateway.store.postgrest_keys import ProjectKeys
from gateway.store.statements import (
    MAX_ROWS,
    check_name,
    even_columns,
    json_text,
    order_terms,
    storable,
)

if TYPE_CHECKING:  # loaded when the first one connects: 28 MB and 0.15 s
    from postgrest import AsyncPostgrestClient

# Arguments of type json, which mark a log: text in it that Postgres cannot hold is replaced.
LOGS: Mapping[str, frozenset[str]] = {
    "record_usage": frozenset({"p_calls"}),
    "set_version_openapi": frozenset({"p_document"}),
    "store_edit": frozenset({"p_document"}),
    "store_job": frozenset({"p_document"}),
}
_WAITS = (0.1, 0.4)  # before the second and the third attempt
_CONNECT_SECONDS = 3.0
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class PostgrestDatabase(Database):
    """Every call is one request with the proof of its identity, and one transaction there.

    What was certainly not run is sent again, and so is a `select` whose answer was lost; all
    attempts together take `seconds` at most.
    """

    def __init__(
        self,
        client: "AsyncPostgrestClient",
        http: httpx.AsyncClient,
        keys: ProjectKeys,
        seconds: float,
        waits: Sequence[float],
    ) -> None:
        self._client = client
        self._http = http
        self._keys = keys
        self._seconds = seconds
        self._waits = waits

    @classmethod
    def connect(
        cls,
        url: str,
        keys: ProjectKeys,
        *,
        connections: int = 8,
        seconds: float = 8,
        waits: Sequence[float] = _WAITS,
    ) -> Self:
        """`url` is that of PostgREST itself, of a project `…/rest/v1`; connects when needed."""
        from postgrest import AsyncPostgrestClient

        http = httpx.AsyncClient(
            timeout=httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS)),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            follow_redirects=False,  # a key goes to nobody else
        )
        client = AsyncPostgrestClient(url, http_client=http, retry_enabled=False)
        return cls(client, http, keys, seconds, waits)

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    # --- the protocol ---------------------------------------------------------------------

    async def select(
        self,
        table: str,
        *,
        identity: Identity,
        columns: str = "*",
        where: Sequence[Filter] = (),
        order: str | None = None,
        limit: int = 1000,
        offset: int = 0,
    ) -> list[Row]:
        """Rows, at most 1000."""
        if limit < 0 or offset < 0:
            raise ValueError("limit and offset cannot be negative")
        names = ["*"] if columns == "*" else [name.strip() for name in columns.split(",")]
        _check_names(name for name in names if name != "*")
        terms = [] if order is None else order_terms(order)
        _check_names(name for name, _ in terms)
        whole = tuple(where)
        found: list[Row] = []
        # rows in no order may come in parts
        for part in [whole] if terms or offset else parts_of(whole):
            wanted = min(limit, MAX_ROWS) - len(found)
            built = _table(self._client, table).select(*names)
            for name, way in terms:
                built.order(name, desc=way == "desc")
            built = built.limit(wanted).offset(offset) if offset else built.limit(wanted)
            found += await self._rows(_filtered(built, part).request, identity)
        return found

    async def insert(
        self, table: str, rows: Sequence[Mapping[str, Any]], *, identity: Identity
    ) -> list[Row]:
        """Insert rows that all have the same columns; none at all is no statement."""
        if not rows:
            return []
        _check_names(even_columns(rows))
        return await self._rows(_table(self._client, table).insert(list(rows)).request, identity)

    async def upsert(
        self,
        table: str,
        rows: Sequence[Mapping[str, Any]],
        *,
        on_conflict: Sequence[str],
        identity: Identity,
    ) -> list[Row]:
        """Insert, or overwrite the row with the same `on_conflict` columns."""
        if not rows:
            return []
        if not on_conflict:
            raise ValueError("an upsert names the columns that identify a row")
        _check_names([*even_columns(rows), *on_conflict])
        built = _table(self._client, table).upsert(list(rows), on_conflict=",".join(on_conflict))
        return await self._rows(built.request, identity)

    async def update(
        self,
        table: str,
        values: Mapping[str, Any],
        *,
        where: Sequence[Filter],
        identity: Identity,
    ) -> list[Row]:
        """Change rows; an empty `where` is refused."""
        if not where or not values:
            raise ValueError("an update names what to set and which rows")
        _check_names(values)
        built = _table(self._client, table).update(dict(values))
        return await self._rows(_filtered(built, where).request, identity)

    async def delete(self, table: str, *, where: Sequence[Filter], identity: Identity) -> list[Row]:
        """Remove rows; an empty `where` is refused."""
        if not where:
            raise ValueError("a delete names which rows")
        built = _table(self._client, table).delete()
        return await self._rows(_filtered(built, where).request, identity)

    async def rpc(self, function: str, arguments: Mapping[str, Any], *, identity: Identity) -> Any:
        """Call a SQL function by argument names."""
        logs = LOGS.get(function, frozenset())
        sent = {
            name: storable(value) if name in logs else value for name, value in arguments.items()
        }
        try:
            _check_names([function])
        except ValueError as error:
            raise DatabaseError("PGRST202", f"could not find public.{function}") from error
        request = self._client.rpc(function, sent).request
        return await self._answer(request, identity, is_function=True)

    async def offered(self) -> set[str] | None:
        """The paths of tables and functions that the service may use; None when it is not told."""
        request = self._client.from_("").select().request
        request.params = httpx.QueryParams()
        try:
            found = await self._answer(request, SERVICE, is_function=False)
        except SandgateError:
            return None
        paths = found.get("paths") if isinstance(found, dict) else None
        return set(paths) if isinstance(paths, dict) else None

    # --- sending --------------------------------------------------------------------------

    async def _rows(self, request: Any, identity: Identity) -> list[Row]:
        rows: list[Row] = await self._answer(request, identity, is_function=False)
        return rows

    async def _answer(self, request: Any, identity: Identity, *, is_function: bool) -> Any:
        """`request` is what the library has built; sending is ours, for it loses the status."""
        sent = self._http.build_request(
            request.http_method,
            str(request.path),
            params=request.params,
            headers={
                **request.headers,
                "Content-Type": "application/json",
                **self._keys.headers(identity),
                **_of_request(identity),
            },
            content=json_text(request.json) if request.http_method in ("POST", "PATCH") else None,
        )
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._attempts(sent)
        except (httpx.HTTPError, TimeoutError) as error:
            raise DatabaseUnavailableError() from error
        if isinstance(answer, Refused):
            raise as_error(answer, role=identity.role, is_function=is_function)
        return answer

    async def _attempts(self, request: httpx.Request) -> Any:
        for wait in self._waits:
            try:
                answer = await self._attempt(request)
            except _NOT_SENT:
                pass
            except httpx.TransportError:
                if request.method != "GET":
                    raise
            else:
                if not (isinstance(answer, Refused) and _may_pass(answer, request.method)):
                    return answer
            await asyncio.sleep(wait)
        return await self._attempt(request)

    async def _attempt(self, request: httpx.Request) -> Any:
        answer = await self._http.send(request)
        if not answer.is_success:
            return read(answer.status_code, answer.content)
        try:
            return json.loads(answer.content) if answer.content else None
        except ValueError:
            return read(502, answer.content)  # a page of somebody in between


def _may_pass(answer: Refused, method: str) -> bool:
    return answer.is_passing and (method == "GET" or not answer.was_run)


def _table(client: "AsyncPostgrestClient", table: str) -> Any:  # builders of four kinds
    try:
        _check_names([table])
    except ValueError as error:
        raise DatabaseError("PGRST205", f"could not find the table public.{table}") from error
    return client.from_(table)


def _filtered(built: Any, where: Sequence[Filter]) -> Any:
    for item in where:
        operator, operand = condition(item)
        built = built.filter(item.column, operator, operand)
    return built


def _check_names(names: Any) -> None:
    for name in names:
        check_name(name)


def _of_request(identity: Identity) -> dict[str, str]:
    """What audit entries say of the request, where the service may make some."""
    context = told() if identity.role == "service_role" else None
    return {} if context is None else {"X-Sandgate-Audit": context}

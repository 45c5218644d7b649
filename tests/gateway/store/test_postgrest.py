"""What the way over PostgREST adds: whose proof is sent, what is sent again, and until when."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
import pytest

from gateway.errors import SandgateError
from gateway.store.audit_context import AuditContext, of_request, tell
from gateway.store.database import (
    ANONYMOUS,
    SERVICE,
    Database,
    DatabaseError,
    DatabaseUnavailableError,
    Identity,
)
from gateway.store.postgrest import LOGS, PostgrestDatabase
from gateway.store.postgrest_filter import as_regex
from gateway.store.postgrest_keys import ProjectKeys
from gateway.store.schema_cache import CATALOGUE
from tests.support.rawhttp import ok, read_request

SECRET_KEY = "sb_secret_of-tests"
JWT_KEY = "aaaa.bbbb.cccc"
PERSON = Identity("authenticated", "{}", "a.persons.token")
ROWS = ok(b'[{"name": "free"}]')
READ, WRITE, CALL = "read", "write", "call"


def failed(status: int, body: object) -> bytes:
    text = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(text), text)


def code(status: int, value: str) -> bytes:
    return failed(status, {"code": value, "message": "m", "details": None, "hint": None})


@dataclass
class Project:
    """Plays a project: answers each request with the next of these; empty is a lost one."""

    answers: list[bytes]
    requests: list[bytes] = field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                self.requests.append(await read_request(reader))
                answer = self.answers.pop(0)
                writer.write(answer)
                await writer.drain()
                if not answer:
                    return
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()

    def header(self, name: str) -> str | None:
        head = self.requests[-1].partition(b"\r\n\r\n")[0].decode().lower()
        found = [line for line in head.split("\r\n") if line.startswith(f"{name}: ")]
        return found[0].partition(": ")[2] if found else None


@asynccontextmanager
async def playing(
    *answers: bytes,
    keys: ProjectKeys | None = None,
    seconds: float = 8,
    waits: tuple[float, ...] = (0, 0),
) -> AsyncIterator[tuple[Project, PostgrestDatabase]]:
    project = Project(list(answers))
    server = await asyncio.start_server(project.handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        PostgrestDatabase.connect(
            f"http://127.0.0.1:{port}/rest/v1",
            keys or ProjectKeys(SECRET_KEY),
            seconds=seconds,
            waits=waits,
        ) as database,
    ):
        yield project, database


async def ask(database: Database, how: str, identity: Identity = SERVICE) -> object:
    if how == READ:
        return await database.select("plans", identity=identity)
    if how == WRITE:
        return await database.insert("plans", [{"name": "x"}], identity=identity)
    return await database.rpc("fn", {}, identity=identity)


# --- whose proof


async def test_an_opaque_key_is_sent_as_apikey_alone() -> None:
    async with playing(ROWS) as (project, database):
        await ask(database, READ)
        assert (project.header("apikey"), project.header("authorization")) == (SECRET_KEY, None)


async def test_a_jwt_key_is_sent_in_both() -> None:
    async with playing(ROWS, keys=ProjectKeys(JWT_KEY)) as (project, database):
        await ask(database, READ)
        assert project.header("apikey") == JWT_KEY
        assert project.header("authorization") == f"bearer {JWT_KEY}"


async def test_a_person_is_sent_as_that_person() -> None:
    async with playing(ROWS, keys=ProjectKeys(JWT_KEY, "an.anon.key")) as (project, database):
        await ask(database, READ, PERSON)
        assert project.header("apikey") == "an.anon.key"
        assert project.header("authorization") == "bearer a.persons.token"


async def test_what_the_log_says_of_a_request_is_sent_by_the_service_alone() -> None:
    keys = ProjectKeys(JWT_KEY, "an.anon.key")
    async with playing(ROWS, ROWS, keys=keys) as (project, database):
        with of_request(AuditContext("r1", "192.0.2.7")):
            tell("they asked")
            await ask(database, READ)
            context = {"request_id": "r1", "address": "192.0.2.7", "reason": "they asked"}
            assert json.loads(project.header("x-sandgate-audit") or "") == context
            await ask(database, READ, PERSON)
            assert project.header("x-sandgate-audit") is None


@pytest.mark.parametrize("identity", [ANONYMOUS, Identity("authenticated", "{}")])
async def test_without_its_own_proof_nothing_is_sent(identity: Identity) -> None:
    async with playing(ROWS) as (project, database):
        with pytest.raises(ValueError, match="needs"):
            await ask(database, READ, identity)
        assert project.requests == []


async def test_a_key_does_not_follow_to_another_place() -> None:
    moved = b"HTTP/1.1 302 X\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n"
    async with playing(moved) as (_, database):
        with pytest.raises(DatabaseError):
            await ask(database, READ)


def test_keys_and_tokens_are_not_shown() -> None:
    assert SECRET_KEY not in repr(ProjectKeys(SECRET_KEY))
    assert "persons" not in repr(PERSON)


# --- what is sent again


@pytest.mark.parametrize("how", [READ, WRITE, CALL])
@pytest.mark.parametrize(
    "answer", [code(503, "PGRST002"), code(504, "PGRST003"), failed(429, "slow down")]
)
async def test_what_was_not_run_is_sent_again(how: str, answer: bytes) -> None:
    async with playing(answer, answer, ROWS) as (project, database):
        assert await ask(database, how) == [{"name": "free"}]
        assert len(project.requests) == 3


@pytest.mark.parametrize("answer", [b"", failed(502, "<html>"), failed(520, "<html>")])
async def test_a_read_is_repeated_when_its_answer_is_lost(answer: bytes) -> None:
    async with playing(answer, ROWS) as (_, database):
        assert await ask(database, READ) == [{"name": "free"}]


@pytest.mark.parametrize("how", [WRITE, CALL])
@pytest.mark.parametrize("answer", [b"", failed(502, "<html>"), code(503, "PGRST001")])
async def test_what_may_have_been_run_is_not_sent_again(how: str, answer: bytes) -> None:
    async with playing(answer, ROWS) as (project, database):
        with pytest.raises(DatabaseUnavailableError):
            await ask(database, how)
        assert len(project.requests) == 1


async def test_nothing_is_sent_again_for_ever() -> None:
    async with playing(*[code(503, "PGRST002")] * 9) as (project, database):
        with pytest.raises(DatabaseUnavailableError):
            await ask(database, CALL)
        assert len(project.requests) == 3


async def test_all_attempts_share_one_deadline() -> None:
    async with playing(*[code(503, "PGRST002")] * 9, seconds=0.5, waits=(60,)) as (
        project,
        database,
    ):
        with pytest.raises(DatabaseUnavailableError):
            await ask(database, READ)
        assert len(project.requests) == 1


async def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with PostgrestDatabase.connect(
        f"http://127.0.0.1:{port}", ProjectKeys(JWT_KEY)
    ) as database:
        with pytest.raises(DatabaseUnavailableError):
            await ask(database, CALL)


# --- failures by sets of codes


def is_unavailable(error: SandgateError) -> bool:
    return isinstance(error, DatabaseUnavailableError)


def is_signed_out(error: SandgateError) -> bool:
    return (error.status, error.code) == (401, "invalid_session")


@pytest.mark.parametrize(
    ("answer", "identity", "expected"),
    [
        (code(401, "PGRST301"), PERSON, is_signed_out),
        (code(401, "PGRST303"), PERSON, is_signed_out),
        (code(401, "PGRST301"), SERVICE, is_unavailable),
        (failed(401, {"message": "Invalid API key"}), PERSON, is_unavailable),
        (failed(401, {"message": "Invalid API key"}), SERVICE, is_unavailable),
        (code(500, "57014"), SERVICE, is_unavailable),
        (code(503, "53300"), SERVICE, is_unavailable),
        (failed(500, "<html>"), SERVICE, is_unavailable),
        (ok(b"<html>"), SERVICE, is_unavailable),
    ],
)
async def test_failures(
    answer: bytes, identity: Identity, expected: Callable[[SandgateError], bool]
) -> None:
    async with playing(answer) as (_, database):
        with pytest.raises(SandgateError) as caught:
            await ask(database, CALL, identity)
        assert expected(caught.value)


@pytest.mark.parametrize("unknown", ["42P01", "PGRST205"])
async def test_an_unknown_table_is_told_alike_by_all_versions(unknown: str) -> None:
    async with playing(code(404, unknown)) as (_, database):
        with pytest.raises(DatabaseError) as caught:
            await ask(database, READ)
        assert caught.value.sqlstate == "PGRST205"


async def test_an_unknown_table_inside_a_function_keeps_its_code() -> None:
    async with playing(code(404, "42P01")) as (_, database):
        with pytest.raises(DatabaseError) as caught:
            await ask(database, CALL)
        assert caught.value.sqlstate == "42P01"


@pytest.mark.parametrize("name", ["../plans", "plans?x=1", "rpc/fn", ""])
async def test_odd_names_never_reach_an_address(name: str) -> None:
    async with playing() as (project, database):
        with pytest.raises(DatabaseError):
            await database.select(name, identity=SERVICE)
        with pytest.raises(DatabaseError):
            await database.rpc(name, {}, identity=SERVICE)
        assert project.requests == []


@pytest.mark.parametrize("answer", [code(404, "PGRST126"), failed(403, "no"), ok(b"[]")])
async def test_a_project_may_keep_to_itself_what_it_offers(answer: bytes) -> None:
    async with playing(answer) as (_, database):
        assert await database.offered() is None


# --- rules that must agree with the other way


async def test_logs_are_the_arguments_of_type_json(owner: asyncpg.Connection) -> None:
    functions = json.loads(await owner.fetchval(CATALOGUE))["functions"]
    logs = {
        name: frozenset(argument for argument, kind in each["arguments"].items() if kind == "json")
        for name, each in functions.items()
    }
    assert {name: found for name, found in logs.items() if found} == LOGS


@pytest.mark.parametrize(
    ("pattern", "regex"),
    [("a%b_", "^a.*b.$"), (r"1\%*", r"^1\%\*$"), ("(a|b)", r"^\(a\|b\)$"), ("ü\n", "^ü\n$")],
)
def test_a_pattern_as_regular_expression(pattern: str, regex: str) -> None:
    assert as_regex(pattern) == regex

"""A call's place in its trace, as apps see it over real sockets."""

import asyncio

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect

from tests.support.datapath import DataPath
from tests.support.rawhttp import echo, read_request, replies
from tests.support.upgrading import echo_frames, serve, switching, value_of
from tests.support.waiting import until

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SENT = f"00-{TRACE}-{PARENT}-00"


async def seen(path: DataPath, *fields: tuple[str, str], calls: int = 1) -> list[bytes]:
    """The heads of calls with these headers, one after the other."""
    route, key = path.serve(echo)
    return [(await path.call(f"/{route.api_id}", key, headers=fields)).body for _ in range(calls)]


async def test_a_callers_trace_goes_on_under_a_parent_of_ours(path: DataPath) -> None:
    """The parent is the end of the request id, so the record of the call can be found by it."""
    (raw,) = await seen(path, ("Traceparent", SENT), ("TraceState", "a=1"), ("tracestate", "b=2"))
    request_id = path.records()[0]["request_id"]
    assert value_of(raw, b"traceparent").decode() == f"00-{TRACE}-{request_id[16:]}-00"
    assert raw.count(b"traceparent:") == raw.count(b"tracestate:") == 1
    assert value_of(raw, b"tracestate") == b"a=1,b=2"


async def test_without_one_a_trace_begins_that_has_the_request_id(path: DataPath) -> None:
    (raw,) = await seen(path, ("traceparent", SENT[:-1]), ("tracestate", "a=1"))
    request_id = path.records()[0]["request_id"]
    expected = f"00-{request_id}-{request_id[16:]}-01"
    assert value_of(raw, b"traceparent").decode() == expected
    assert b"tracestate" not in raw


@pytest.mark.parametrize("fields", [(), (("traceparent", SENT),)], ids=["begun here", "a caller's"])
async def test_each_call_of_a_connection_is_a_hop_of_its_own(
    path: DataPath, fields: tuple[tuple[str, str], ...]
) -> None:
    """The same head is read once; its ids are new each time."""
    route, key = path.serve(echo)
    lines = [f"GET /{route.api_id} HTTP/1.1", "Host: a", f"X-API-Key: {key}"]
    call = "\r\n".join([*lines, *(f"{name}: {value}" for name, value in fields), "", ""]).encode()
    reader, writer = await path.connect()
    parents = []
    for _ in range(3):
        writer.write(call)
        await reader.readuntil(b"\r\n\r\n")
        parents.append(value_of(await reader.readuntil(b"\r\n\r\n"), b"traceparent").decode())
    writer.close()
    ids = [record["request_id"] for record in path.records()]
    trace_ids = [TRACE] * 3 if fields else ids
    assert [each.split("-")[1] for each in parents] == trace_ids
    assert [each.split("-")[2] for each in parents] == [each[16:] for each in ids]


async def test_two_parents_begin_a_trace(path: DataPath) -> None:
    (raw,) = await seen(path, ("traceparent", SENT), ("traceparent", SENT))
    assert TRACE.encode() not in raw
    assert raw.count(b"traceparent:") == 1


async def test_what_connection_names_ends_here(path: DataPath) -> None:
    """A trace that was for this hop alone does not go on."""
    raw, *_ = await seen(path, ("traceparent", SENT), ("Connection", "Traceparent"))
    assert TRACE.encode() not in raw
    (raw,) = await seen(
        path, ("traceparent", SENT), ("tracestate", "a=1"), ("Connection", "tracestate")
    )
    assert TRACE.encode() in raw
    assert b"tracestate" not in raw


async def test_a_call_in_a_task_has_the_same_place(path: DataPath) -> None:
    """A cold sandbox and a body in chunks go the general way."""
    route, key = path.serve(echo)
    fields = [("traceparent", SENT), ("Transfer-Encoding", "chunked")]
    lines = [f"POST /{route.api_id} HTTP/1.1", "Host: a", f"X-API-Key: {key}"]
    lines += [f"{name}: {value}" for name, value in fields]
    answer = await path.raw("\r\n".join([*lines, "", ""]).encode() + b"0\r\n\r\n", "POST")
    request_id = path.records()[0]["request_id"]
    parent = value_of(answer.body, b"traceparent").decode()
    assert parent == f"00-{TRACE}-{request_id[16:]}-00"


async def test_a_websocket_has_its_place_too(path: DataPath) -> None:
    """And the line at its end names both."""
    heads: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await read_request(reader))
        writer.write(switching(heads[0]))
        await echo_frames(reader, writer)

    address, key = serve(path, handle)
    fields = {"X-API-Key": key, "traceparent": SENT, "tracestate": "a=1"}
    with capture_logs() as logs:
        async with connect(address, additional_headers=fields, proxy=None):
            pass
        await until(lambda: bool(logs))
    record = path.records()[0]
    request_id = record["request_id"]
    assert value_of(heads[0], b"traceparent").decode() == f"00-{TRACE}-{request_id[16:]}-00"
    assert value_of(heads[0], b"tracestate") == b"a=1"
    expected = {"event": "websocket_ended", "request_id": request_id, "trace_id": TRACE}
    expected |= {name: record[name] for name in ("api_id", "tenant_id", "key_id")}
    assert expected.items() <= logs[0].items()


async def test_the_callers_answer_says_nothing_of_it(path: DataPath) -> None:
    route, key = path.serve(replies(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"))
    answer = await path.call(f"/{route.api_id}", key, headers=[("traceparent", SENT)])
    assert answer.status == 200
    assert not any(name.startswith(b"trace") for name, _ in answer.headers)

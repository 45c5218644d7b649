"""The bytes that the scripted server sends, read from a socket."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from generator.llm.scripted import Answering, Scenario, scripted

MESSAGE: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 100,
    "stream": True,
    "messages": [{"role": "user", "content": "Hello"}],
}
PREFILL = {"role": "assistant", "content": "{"}
TOOL = {"name": "t", "description": "d", "input_schema": {"type": "object"}}


def raw(
    body: object, path: str = "/v1/messages", method: str = "POST", key: str = "x-api-key: k\r\n"
) -> bytes:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\n{key}content-length: {len(payload)}\r\n\r\n"
    return head.encode() + payload


async def answers(sent: bytes, answering: Answering, **options: Any) -> bytes:
    """All that comes back until the server or, half closed, we end it."""
    async with scripted(answering, **options) as base_url:
        host, port = base_url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(sent)
        writer.write_eof()
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.close()


def unchunked(raw_answer: bytes) -> bytes:
    rest, whole = raw_answer.partition(b"\r\n\r\n")[2], b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        whole, rest = whole + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return whole


def events(raw_answer: bytes) -> list[tuple[str, Mapping[str, Any]]]:
    blocks = unchunked(raw_answer).decode().split("\n\n")[:-1]
    lines = [block.split("\n") for block in blocks]
    return [(name.removeprefix("event: "), json.loads(data[6:])) for name, data in lines]


def saying(*replies: Mapping[str, Any]) -> Scenario:
    return Scenario.saying(*replies)


async def test_a_stream_has_all_events_in_their_order() -> None:
    reply = {"thinking": "hm", "text": "Hi", "uses": [{"name": "t", "input": {"a": 1}}]}
    body = {**MESSAGE, "tools": [TOOL]}
    got = events(await answers(raw(body), saying(reply)))
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    thinking = [block[0], block[1], block[1], block[2]]
    assert [name for name, _ in got] == [
        *("message_start", "ping", *thinking, *block, *block, "message_delta", "message_stop")
    ]
    assert all(name == data["type"] for name, data in got)
    assert got[0][1]["message"]["content"] == []
    assert got[-2][1]["delta"]["stop_reason"] == "tool_use"


async def test_the_head_names_the_request() -> None:
    head = (await answers(raw(MESSAGE), saying({"text": "Hi"}))).partition(b"\r\n\r\n")[0]
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"content-type: text/event-stream" in head
    assert b"request-id: req_scripted_000001" in head


async def test_who_does_not_stream_gets_one_message() -> None:
    body = {**MESSAGE, "stream": False}
    message = json.loads(unchunked(await answers(raw(body), saying({"text": "Hi"}))))
    assert message["content"] == [{"type": "text", "text": "Hi"}]
    assert message["usage"]["output_tokens"] > 0


async def test_two_requests_on_one_connection_get_two_answers() -> None:
    got = await answers(raw(MESSAGE) * 2, saying({"text": "One"}, {"text": "Two"}))
    assert got.count(b"HTTP/1.1 200 ") == 2
    assert b"req_scripted_000002" in got


async def test_tokens_are_counted() -> None:
    body = {key: MESSAGE[key] for key in ("model", "messages")}
    got = await answers(raw(body, "/v1/messages/count_tokens"), saying({"text": "no"}, {}))
    assert json.loads(unchunked(got))["input_tokens"] > 5


async def test_an_error_has_the_services_form_and_its_headers() -> None:
    reply = {"status": 429, "headers": {"retry-after": "3"}, "message": "slow down"}
    got = await answers(raw(MESSAGE), saying(reply))
    assert got.startswith(b"HTTP/1.1 429 ")
    assert b"retry-after: 3\r\n" in got
    told = json.loads(unchunked(got))
    assert told["error"] == {"type": "rate_limit_error", "message": "slow down"}


@pytest.mark.parametrize("after", [0, 3])
async def test_a_dropped_answer_has_no_end(after: int) -> None:
    reply = {"text": "Hi", "fault": {"kind": "drop", "after": after}}
    got = await answers(raw(MESSAGE), saying(reply))
    assert b"message_stop" not in got
    assert not got.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (raw(MESSAGE, method="GET"), 404),
        (raw(MESSAGE, path="/v1/complete"), 404),
        (raw(MESSAGE, key=""), 401),
        (raw(b"{no"), 400),
        (raw([]), 400),
        (raw({**MESSAGE, "max_tokens": 0}), 400),
        (raw({**MESSAGE, "max_tokens": 10**9}), 400),
        (raw({**MESSAGE, "messages": []}), 400),
        (raw({**MESSAGE, "temperature": 0}), 400),
        (raw({**MESSAGE, "tool_choice": {"type": "any"}, "tools": [TOOL]}), 400),
        (raw({**MESSAGE, "messages": [*MESSAGE["messages"], PREFILL]}), 400),
        (raw({**MESSAGE, "tools": [{**TOOL, "strict": True}]}), 400),
    ],
)  # fmt: skip
async def test_what_a_current_model_refuses(sent: bytes, status: int) -> None:
    got = await answers(sent, saying({"text": "Hi"}))
    assert got.startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize(
    "more",
    [
        {"output_config": {"effort": "low"}},
        {"output_config": {"format": {"type": "json_schema", "schema": {}}}},
        {"system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]},
        {"tools": [{**TOOL, "eager_input_streaming": True}]},
    ],
)
async def test_what_a_compatible_endpoint_does_not_take(more: dict[str, Any]) -> None:
    got = await answers(raw({**MESSAGE, **more}), saying({"text": "Hi"}), compatible=True)
    assert got.startswith(b"HTTP/1.1 400 ")


async def test_bytes_that_are_no_http_end_the_connection() -> None:
    assert await answers(b"\x00\x01 nonsense\r\n\r\n", saying({"text": "Hi"})) == b""


async def test_a_request_without_a_reply_says_so() -> None:
    got = await answers(
        raw(MESSAGE), saying({"text": "Hi"}).of({"when": {"form": "X"}, "replies": [{}]})
    )
    assert b"no reply to a request for text" in got

"""What may not be in an answer is found there, and nothing else is."""

import pytest

from generator.abuse import Attempt, attempts
from generator.calls import Reply, Request
from generator.verdicts import of_attempt
from tests.support.gate_contracts import contract, example, operation, parameter, whole

HTML = (("content-type", "text/html; charset=utf-8"),)
JSON = (("content-type", "application/json"),)
COOKIE = (*JSON, ("set-cookie", "a=b"))
SCRIPT = '"><script>alert(1)<!--'


def verdict(reply: Reply, payload: str = "", usual: str = "", **more: bool) -> str:
    """The rule that an answer to an attempt breaks."""
    attempt = Attempt("a", "one", Request("GET", "/"), payload, **more)
    found = of_attempt(attempt, reply, usual)
    return found.rule if found else ""


@pytest.mark.parametrize(
    ("reply", "payload", "rule"),
    [
        (Reply(500, JSON, b"{}"), "", "server_error"),
        (Reply(400, JSON, b"Traceback (most recent call last):"), "", "stack_trace_in_answer"),
        (Reply(400, JSON, b'in File "/app.py", line 3'), "", "stack_trace_in_answer"),
        (Reply(200, JSON, b"root:x:0:0:root:/root"), "", "file_content_in_answer"),
        (Reply(200, HTML, f"<p>{SCRIPT}".encode()), SCRIPT, "unescaped_echo"),
        (Reply(200, (), f"<p>{SCRIPT}".encode()), SCRIPT, "unescaped_echo"),
        (Reply(200, JSON, b'{"a": "8827"}'), "{{91*97}}", "input_is_executed"),
        (Reply(200, JSON, b'"Bearer sandgate-canary-5f2b8c"'), "", "secret_in_answer"),
        (Reply(200, COOKIE, b""), "a\r\nSet-Cookie: a=b", "header_injection"),
    ],
)  # fmt: skip
def test_what_may_not_be_is_found(reply: Reply, payload: str, rule: str) -> None:
    assert verdict(reply, payload) == rule


@pytest.mark.parametrize(
    ("reply", "payload"),
    [
        (Reply(422, JSON, b'{"detail": "no"}'), SCRIPT),
        (Reply(200, JSON, SCRIPT.encode()), SCRIPT),  # JSON is no markup
        (Reply(200, HTML, b"<p>&quot;&gt;&lt;script&gt;alert(1)"), SCRIPT),
        (Reply(200, JSON, b'"{{91*97}}"'), "{{91*97}}"),
        (Reply(404, JSON, b""), ""),
    ],
)
def test_what_may_be_is_not(reply: Reply, payload: str) -> None:
    assert verdict(reply, payload) == ""


def test_a_number_that_is_always_there_is_not_worked_out() -> None:
    assert verdict(Reply(200, JSON, b"8827"), "{{91*97}}", usual="8827") == ""


def test_a_host_that_cannot_be_reached_is_no_server_error() -> None:
    assert verdict(Reply(502, JSON, b""), reaches_out=True) == ""
    assert verdict(Reply(500, JSON, b""), reaches_out=True) == "server_error"


def test_what_must_be_refused_is_not_answered() -> None:
    assert verdict(Reply(200, JSON, b""), must_refuse=True) == "bad_input_accepted"
    assert verdict(Reply(200, JSON, b""), must_not_exist=True) == "method_not_refused"
    assert verdict(Reply(405, JSON, b""), must_not_exist=True) == ""


def test_attempts_follow_what_the_contract_takes() -> None:
    text = {"type": "string"}
    takes_urls = operation(
        "check", "GET", "/check", example("a", "/check", query={"page_url": "x", "regex": "a"}),
        parameters=[parameter("page_url", "query", text), parameter("regex", "query", text)],
    )  # fmt: skip
    file = {"file": {"filename": "a.png", "content_type": "image/png", "text": "a"}}
    takes_files = operation(
        "put", "POST", "/put", example("a", "/put", body=file),
        body={"type": "object", "required": ["file"]}, body_type="multipart/form-data",
    )  # fmt: skip
    names = [one.name for one in attempts(contract(whole(takes_urls, takes_files)), {})]
    assert "query page_url: metadata" in names
    assert "query regex: a catastrophic expression" in names
    assert "file file: a file name with a way out" in names
    assert "body without file" in names
    assert not [name for name in names if name.startswith("path")]


def test_attempts_are_the_same_each_time_and_can_be_sent() -> None:
    first, second = attempts(contract(), {"note": "7"}), attempts(contract(), {"note": "7"})
    assert first == second
    assert len({(one.operation, one.name) for one in first}) == len(first)
    for one in first:
        assert one.request.target.isascii()
        assert one.request.target.isprintable()


def test_a_large_contract_has_its_share_for_each_operation() -> None:
    many = [operation(f"o{n}", "GET", f"/o{n}", example("a", f"/o{n}")) for n in range(40)]
    found = attempts(contract(whole(*many)), {})
    assert {one.operation for one in found} == {f"o{n}" for n in range(40)}
    assert len(found) <= 480

"""The platform's part of a file: the same bytes each time, known to the byte, and it serves."""

import json
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from hypothesis import given
from hypothesis import strategies as st

from generator.contract import Contract
from generator.template import assemble, body_of, head, offset, package_of, packages
from sandbox.layers import script
from tests.support.contracts import BODY, contract

FULL = contract(
    title='Quotes" @hosts@ \u2028 and more',
    summary="line\nline",
    outbound_hosts=["b.example.com", "*.A.example"],
    dependencies=["humanize", "Python_Dateutil", "unheard-of"],
    storage="kv",
)
ROUTES = """
from fastapi import Body, HTTPException


@router.post("/echo")
async def echo(text: str = Body(embed=True)) -> dict[str, str]:
    return {"text": text}


@router.get("/number")
async def number() -> dict[str, float]:
    return {"number": float("nan")}


@router.get("/broken")
async def broken() -> None:
    raise RuntimeError("a secret")


@router.get("/gone")
async def gone() -> None:
    raise HTTPException(410, "No longer here.")
"""


def app_of(contract: Contract, body: str) -> FastAPI:
    """The file of a test, which is trusted, as an application."""
    module = types.ModuleType("app")
    exec(assemble(contract, body), module.__dict__)
    found: FastAPI = module.__dict__["app"]
    return found


@pytest.fixture
def client() -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app_of(contract(), ROUTES), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://api")


@pytest.mark.parametrize("one", [contract(), FULL], ids=["small", "full"])
def test_the_same_contract_gives_the_same_bytes_and_the_body_comes_back(one: Contract) -> None:
    code = assemble(one, BODY)
    assert code == assemble(one.model_copy(deep=True), BODY)
    assert body_of(code) == body_of(code, one) == BODY
    assert code.split("\n")[offset(one)] == BODY.split("\n", 1)[0]


@given(st.text())
def test_every_body_comes_back(body: str) -> None:
    assert body_of(assemble(FULL, body), FULL) == body


@given(st.text())
def test_no_text_is_taken_for_a_file(text: str) -> None:
    assert body_of(text) is None


def test_a_changed_byte_around_the_body_is_seen() -> None:
    code, start = assemble(FULL, BODY), len(head(FULL))
    around = [*range(0, start, 7), start - 1, *range(start + len(BODY), len(code))]
    for place in around:
        changed = code[:place] + ("#" if code[place] != "#" else "%") + code[place + 1 :]
        assert body_of(changed) is None, place


def test_another_contracts_file_is_not_this_ones() -> None:
    assert body_of(assemble(contract(), BODY), FULL) is None
    elsewhere = assemble(FULL, BODY).replace("humanize==4.16.0", "humanize==4.15.0")
    assert body_of(elsewhere) is None
    assert body_of(elsewhere.replace("4.15.0", "4.16.0")) == BODY


def test_the_block_states_only_pinned_packages_of_the_list() -> None:
    read = script.read(assemble(FULL, BODY))
    assert read is not None
    assert read.requirements == ("humanize==4.16.0", "python-dateutil==2.9.0.post0")
    assert script.read(assemble(contract(), BODY)) is None


@pytest.mark.parametrize(
    "text", ["", "nothing-like-it", "humanize==1", "humanize @ http://x", "humanize[x]", "-e ."]
)
def test_what_is_not_on_the_list_is_no_package(text: str) -> None:
    assert package_of(text) is None


def test_a_listed_package_is_found_however_it_is_spelled() -> None:
    assert package_of(" Python.Dateutil == 2.9.0.post0 ") == "python-dateutil"
    assert all(package_of(name) == name for name in packages())


@pytest.mark.parametrize("one", [contract(), FULL], ids=["small", "full"])
def test_our_part_is_as_clean_as_we_ask_of_others(one: Contract, tmp_path: Path) -> None:
    path = tmp_path / "app.py"
    path.write_text(assemble(one, BODY), "utf-8")
    ruff = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--isolated",
        "--select",
        "F,E9,B,S",
        "--ignore=F401",
        str(path),
    ]
    assert subprocess.run(ruff, capture_output=True, text=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("PUT", "/echo", 405),
        ("GET", "/broken", 500),
        ("GET", "/gone", 410),
        ("POST", "/echo", 422),
    ],
)
async def test_each_error_is_a_problem_without_internals(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "application/problem+json",
    )
    assert answer.json()["status"] == status
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


async def test_422_does_not_repeat_what_was_sent(client: httpx.AsyncClient) -> None:
    answer = await client.post("/echo", json={"text": {"payload<script>": 1}})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"where": ["body", "text"], "message": "Input should be a valid string"}
    ]


async def test_413_for_a_body_above_the_limit_announced_or_not(client: httpx.AsyncClient) -> None:
    async def pieces() -> Any:
        for _ in range(11):
            yield b"x" * 1_000_000

    announced = await client.post("/echo", content=b"x" * 10_000_001)
    counted = await client.post("/echo", content=pieces())
    assert (announced.status_code, counted.status_code) == (413, 413)
    assert counted.json()["title"] == "Content Too Large"


async def test_answers_that_json_cannot_carry_are_mended(client: httpx.AsyncClient) -> None:
    content = b'{"text": "\\ud800"}'
    headers = {"content-type": "application/json"}
    echoed = await client.post("/echo", content=content, headers=headers)
    assert (echoed.status_code, echoed.content) == (200, b'{"text":"\\ud800"}')
    assert (await client.get("/number")).json() == {"number": None}


class Upstream(httpx.AsyncBaseTransport):
    """Another server, as the file's own client sees it."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        response: httpx.Response = self.answer
        return response


def way_out(monkeypatch: pytest.MonkeyPatch, answer: Any) -> tuple[Any, Upstream]:
    upstream = Upstream(answer)
    module = types.ModuleType("app")
    exec(assemble(contract(outbound_hosts=FULL.outbound_hosts), ""), module.__dict__)
    plain = httpx.AsyncClient
    monkeypatch.setattr(httpx, "AsyncClient", lambda **kw: plain(transport=upstream, **kw))
    return module.__dict__["http"], upstream


async def test_a_listed_host_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    http, upstream = way_out(monkeypatch, httpx.Response(200, stream=httpx.ByteStream(b'{"a": 1}')))
    answer = await http.get("https://x.a.example/path", params={"q": "1"})
    assert answer.json() == {"a": 1}
    assert str(upstream.asked[0].url) == "https://x.a.example/path?q=1"


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/",
        "https://evil.com/",
        "https://xa.example",
        "https://b.example.com:8080/",
        "https://b.example.com@127.0.0.1/",
        "file:///etc/passwd",
        "http://[::1]/",
        "http://169.254.169.254/",
        "//b.example.com",
        "http://\x00",
        7,
    ],
)
async def test_400_for_every_other_place(monkeypatch: pytest.MonkeyPatch, url: Any) -> None:
    http, upstream = way_out(monkeypatch, httpx.Response(200))
    with pytest.raises(HTTPException) as caught:
        await http.get(url)
    assert (caught.value.status_code, upstream.asked) == (400, [])


@pytest.mark.parametrize(
    "answer",
    [
        httpx.ConnectError("no"),
        httpx.ReadTimeout("slow"),
        httpx.Response(200, stream=httpx.ByteStream(b"x" * 2_000_001)),
        httpx.Response(200, headers={"content-encoding": "br"}, stream=httpx.ByteStream(b"x")),
    ],
    ids=["unreachable", "slow", "too much", "packed"],
)
async def test_502_when_the_other_server_fails(
    monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    http, _ = way_out(monkeypatch, answer)
    with pytest.raises(HTTPException) as caught:
        await http.get("https://b.example.com/")
    assert caught.value.status_code == 502


async def test_the_document_names_problems(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    answers = document["paths"]["/echo"]["post"]["responses"]
    assert set(answers) == {"200", "default"}
    assert json.dumps(answers["default"]).count("application/problem+json") == 1

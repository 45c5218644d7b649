"""WebSockets of a deployed app, through a whole installation on each runtime."""

import asyncio
import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.sync.connection import Connection
from websockets.typing import Subprotocol

from tests.support.deployed import Deployed, deployed
from tests.support.installation import Installation

APP = """
from fastapi import FastAPI, WebSocket

app = FastAPI()


@app.get("/")
def root():
    return {"version": 1}


@app.websocket("/echo")
async def echo(socket: WebSocket):
    await socket.accept(subprotocol="chat" if "chat" in socket.scope["subprotocols"] else None)
    async for text in socket.iter_text():
        await socket.send_text(text)


@app.websocket("/seen")
async def seen(socket: WebSocket):
    await socket.accept()
    await socket.send_json({
        "url": str(socket.url), "client": socket.client.host,
        "headers": [name.lower() for name in socket.headers.keys()],
        "subprotocols": socket.scope["subprotocols"],
    })
    await socket.close(4001, "that is all")


@app.websocket("/no")
async def no(socket: WebSocket):
    await socket.close()
"""


@pytest.fixture(scope="module")
def api(made: Installation) -> Iterator[Deployed]:
    """One app for all."""
    with deployed(made, "sockets", APP) as one:
        yield one


def address(api: Deployed, path: str) -> str:
    return f"{api.made.url.replace('http://', 'ws://')}/{api.id}{path}"


def opened(api: Deployed, path: str = "/echo", key: str = "", **more: Any) -> ClientConnection:
    headers = {"Authorization": f"Bearer {key or api.key}"}
    return connect(address(api, path), additional_headers=headers, proxy=None, **more)


def closed(socket: Connection, seconds: float = 20) -> tuple[int, str]:
    """How it was closed."""
    with pytest.raises(ConnectionClosed) as caught:
        socket.recv(seconds)
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, caught.value.rcvd.reason


def test_it_echoes_compressed_and_with_a_subprotocol(api: Deployed) -> None:
    """Both are agreed on between the caller and the app."""
    asked = [Subprotocol("other"), Subprotocol("chat")]
    with opened(api, subprotocols=asked) as socket:
        assert socket.subprotocol == "chat"
        assert socket.protocol.extensions
        for text in ("hello", "é" * 20000, "x" * 1_000_000):
            socket.send(text)
            assert socket.recv(20) == text
    assert socket.close_code == 1000


def test_the_app_sees_its_caller_and_its_close_code_arrives(api: Deployed) -> None:
    with opened(api, "/seen") as socket:
        seen = json.loads(socket.recv(20))
        assert closed(socket) == (4001, "that is all")
    assert seen["url"] == address(api, "/seen")
    assert seen["client"] == "127.0.0.1"
    assert not {"authorization", "x-sandgate-context"} & set(seen["headers"])


def test_a_message_of_5_mb_is_refused(api: Deployed) -> None:
    with opened(api, compression=None) as socket:
        with suppress(ConnectionClosed):
            socket.send("x" * 5_000_000)
        assert closed(socket)[0] == 1009


def test_an_app_that_refuses_answers(api: Deployed) -> None:
    with pytest.raises(InvalidStatus) as caught:
        opened(api, "/no")
    assert caught.value.response.status_code == 403
    assert "x-ratelimit-limit" not in caught.value.response.headers  # its tenant has no limits
    assert "x-request-id" in caught.value.response.headers


def test_a_revoked_key_closes_what_it_opened(api: Deployed) -> None:
    """At the very worst after five seconds, usually at once."""
    made = api.send("POST", "/keys", 201, json={"name": "short"})
    with opened(api, key=made["key"]) as socket, opened(api) as other:
        assert api.owner.delete(f"/api/keys/{made['id']}").status_code == 204
        assert closed(socket, 5) == (1008, "Revoked API key")
        other.send("not me")
        assert other.recv(20) == "not me"


def test_a_reload_leaves_it_where_it_is(api: Deployed) -> None:
    """In the sandbox of before, which stays for it."""
    with opened(api) as socket:
        with api.made.client(Authorization=f"Bearer {api.made.first['admin_api_key']}") as admin:
            for _ in range(2):
                assert admin.post(f"/admin/reload/{api.id}").status_code == 200
                assert api.ask("/")["version"] == 1
        socket.send("still here")
        assert socket.recv(20) == "still here"


def test_a_redeploy_closes_with_1012_and_the_next_one_is_served_anew(api: Deployed) -> None:
    with opened(api) as socket:
        code = APP.replace('"version": 1', '"version": 2')
        api.send("POST", "/versions", 201, json={"code": code})
        assert closed(socket) == (1012, "Another version serves now; connect again.")
    assert api.ask("/")["version"] == 2
    with opened(api) as socket:
        socket.send("again")
        assert socket.recv(20) == "again"


def test_two_hundred_at_once(api: Deployed) -> None:
    """More than one sandbox takes by default wait for nobody: its concurrency is raised."""
    api.send("PATCH", "", 200, json={"instances": {"concurrency": 300}})
    headers = {"Authorization": f"Bearer {api.key}"}

    async def one(number: int) -> bool:
        where = address(api, "/echo")
        async with connect_async(
            where, additional_headers=headers, proxy=None, open_timeout=30
        ) as socket:
            await socket.send(str(number))
            return await socket.recv() == str(number)

    async def all_of_them() -> list[bool]:
        return await asyncio.gather(*(one(number) for number in range(200)))

    assert asyncio.run(all_of_them()) == [True] * 200


PAGE = """<!doctype html><title>waiting</title><script>
const socket = new WebSocket(%s, ["sandgate", "sandgate.key." + %s, "chat"]);
const tell = text => fetch("/told", {method: "POST", body: text});
socket.onopen = () => socket.send("from a browser");
socket.onmessage = event => { tell(socket.protocol + ": " + event.data); };
socket.onerror = () => tell("failed");
</script>"""


class _Page(BaseHTTPRequestHandler):
    """One page, and what its script tells."""

    page = b""
    told: list[str]
    heard: threading.Event

    def do_GET(self) -> None:
        self._answer(self.page)

    def do_POST(self) -> None:
        self.told.append(self.rfile.read(int(self.headers["content-length"])).decode())
        self._answer(b"")
        self.heard.set()

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Not in the output of tests."""


@pytest.mark.skipif(shutil.which("chromium") is None, reason="optional: needs chromium")
def test_a_page_in_a_browser_opens_one_with_its_key_as_a_subprotocol(api: Deployed) -> None:
    told, heard = list[str](), threading.Event()
    page = PAGE % (json.dumps(address(api, "/echo")), json.dumps(api.key))
    handler = type("Page", (_Page,), {"page": page.encode(), "told": told, "heard": heard})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="sg-", ignore_cleanup_errors=True) as profile:
        browser = subprocess.Popen(
            ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic",
             "--no-first-run", "--disable-background-networking", "--disable-component-update",
             "--disable-sync", f"--user-data-dir={profile}",
             f"http://127.0.0.1:{server.server_address[1]}/"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            assert heard.wait(40)
        finally:
            browser.terminate()
            browser.wait(20)
            server.shutdown()
            server.server_close()
    assert told == ["chat: from a browser"]

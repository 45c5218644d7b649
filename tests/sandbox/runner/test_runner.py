"""The real runner in a process of its own, driven over its control channel with harmless code."""

import json
import os
import signal
from typing import Any

import pytest

from sandbox.runner.frames import Message
from tests.support.running import Runner, running
from tests.support.waiting import until_blocking

PROBE = "x-sandgate-context: probe"
CONTEXT = "x-sandgate-context: 2001:db8::1 5123 https /my-api@2 req-7"

ECHO = """
from fastapi import FastAPI, Request
app = FastAPI()

@app.get("/{path:path}")
async def echo(path: str, request: Request):
    scope = request.scope
    return {
        "client": scope["client"], "scheme": scope["scheme"], "root_path": scope["root_path"],
        "path": scope["path"], "raw_path": scope["raw_path"].decode(), "url": str(request.url),
        "headers": [name.decode() for name, _ in scope["headers"]],
        "extensions": scope.get("extensions"),
    }
"""


def body(answer: bytes) -> Any:
    return json.loads(answer.partition(b"\r\n\r\n")[2])


def start(code: str, seconds: float = 10) -> tuple[Message, Runner]:
    with running() as runner:
        verdict = runner.specialise(code, seconds)
        if verdict["type"] != "ready":
            runner.process.wait(10)
        return verdict, runner


def test_hello_says_blank() -> None:
    with running() as runner:
        assert runner.hello["state"] == "blank"
        assert runner.hello["pid"] == runner.process.pid


def test_an_app_is_served_with_the_gateways_context_in_its_scope() -> None:
    with running() as runner:
        assert runner.specialise(ECHO)["type"] == "ready"
        seen = body(runner.get("/a%20b?c=d", CONTEXT))
        assert seen["client"] == ["2001:db8::1", 5123]
        assert seen["url"] == "https://x/my-api@2/a b?c=d"  # as Starlette builds it
        assert (seen["root_path"], seen["path"]) == ("/my-api@2", "/my-api@2/a b")
        assert seen["raw_path"] == "/my-api@2/a%20b"
        assert seen["headers"] == ["host", "connection"]
        assert seen["extensions"]["sandgate"] == {"request_id": "req-7"}


def test_the_probe_never_reaches_the_app() -> None:
    with running() as runner:
        runner.specialise("async def app(scope, receive, send):\n    raise ValueError('reached')")
        assert runner.get("/", PROBE).startswith(b"HTTP/1.1 204 ")


def test_answers_carry_a_date_and_no_server_header() -> None:
    with running() as runner:
        runner.specialise(ECHO)
        runner.get()
        head = runner.get().partition(b"\r\n\r\n")[0].lower()
        assert b"\r\ndate: " in head
        assert b"\r\nserver: " not in head


def test_lifespan_runs_around_the_app() -> None:
    code = """
from contextlib import asynccontextmanager
from fastapi import FastAPI
@asynccontextmanager
async def lifespan(app):
    print("begins")
    yield {"word": "state"}
    print("ends")
app = FastAPI(lifespan=lifespan)
@app.get("/")
async def root(): return {}
"""
    with running() as runner:
        assert runner.specialise(code)["type"] == "ready"
        runner.tell({"type": "stop", "seconds": 5})
        assert runner.heard("exited")["reason"] == "stopped"
        assert runner.logs == ["begins", "ends"]
        assert runner.process.wait(10) == 0


def test_a_websocket_is_served() -> None:
    code = """
from fastapi import FastAPI, WebSocket
app = FastAPI()
@app.websocket("/ws")
async def ws(socket: WebSocket):
    await socket.accept()
    await socket.send_text(socket.scope["scheme"] + socket.scope["root_path"])
    await socket.close()
"""
    with running() as runner:
        runner.specialise(code)
        lines = [
            "GET /ws HTTP/1.1",
            CONTEXT,
            "Host: x",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "\r\n",
        ]
        close_frame = b"\x88\x80\0\0\0\0"
        answer = runner.call("\r\n".join(lines).encode() + close_frame)
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert b"wss/my-api@2" in answer


def test_an_error_while_serving_is_logged_with_the_owners_frames_only() -> None:
    code = "async def app(scope, receive, send):\n    raise ValueError('odd')\n"
    with running() as runner:
        runner.specialise(code)
        assert b" 500 " in runner.get()
        runner.tell({"type": "stop", "seconds": 5})
        runner.heard("exited")
        text = "\n".join(runner.logs)
        assert "ValueError: odd" in text
        assert "raise ValueError('odd')" in text
        assert "/runner/" not in text


@pytest.mark.parametrize(
    ("code", "kind", "line", "words"),
    [
        ("import os\nx = (", "syntax_error", 2, "never closed"),
        ("x = 1\ny = '\0'", "syntax_error", 2, "null bytes"),
        ("x = 1\ny = '\ud800'", "syntax_error", 2, "Unicode"),
        ("(" * 300 + ")" * 300, "syntax_error", 1, "nested"),
        ("import no_such_package", "import_error", 1, "fastapi"),
        ("from json import no_such_name", "import_error", 1, "no_such_name"),
        ("x = 1\ndef f():\n    return 1 / 0\nf()", "exception", 3, "ZeroDivisionError"),
        ("class E(Exception):\n  def __str__(self): 1/0\nraise E", "exception", 3, "E"),
        ("x = 1", "no_app", None, "It defines x"),
        ("app = 5", "no_app", None, "builtins.int"),
        ("async def a(s, r, w): ...\nasync def b(s, r, w): ...", "no_app", None, "a, b"),
        ("raise MemoryError", "memory", 1, "memory"),
        ("import sys\nsys.exit('bye')", "exited", 2, "bye"),
        ("import os\nos._exit(3)", "exited", None, "code 3"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "exited", None, "SIGKILL"),
    ],
)
def test_code_that_does_not_start_is_explained(
    code: str, kind: str, line: int | None, words: str
) -> None:
    failed, runner = start(code)
    assert (failed["type"], failed["kind"], failed["line"]) == ("failed", kind, line)
    assert words in failed["reason"]
    assert failed["file"] == "app.py"
    assert runner.process.returncode == 0


def test_the_traceback_shows_the_file_and_none_of_our_frames() -> None:
    failed, _ = start("def f():\n    raise KeyError('k')\ntry:\n    f()\nexcept KeyError:\n    1/0")
    assert failed["traceback"].count('File "app.py"') == 3
    assert "raise KeyError('k')" in failed["traceback"]
    assert "runner" not in failed["traceback"]


def test_a_failing_lifespan_is_told_with_its_traceback() -> None:
    code = """
from contextlib import asynccontextmanager
from fastapi import FastAPI
@asynccontextmanager
async def lifespan(app):
    raise RuntimeError("no database")
    yield
app = FastAPI(lifespan=lifespan)
"""
    failed, _ = start(code)
    assert (failed["kind"], failed["line"]) == ("lifespan", 6)
    assert "no database" in failed["reason"]
    assert failed["traceback"].splitlines()[1].startswith('  File "app.py"')


def test_an_endless_loop_at_import_names_its_line() -> None:
    failed, _ = start("x = 1\nwhile True:\n    x += 1", seconds=0.5)
    assert failed["kind"] == "deadline"
    assert failed["line"] in (2, 3)


def test_a_loop_that_swallows_everything_is_ended_at_the_deadline() -> None:
    code = "while True:\n    try:\n        while True: pass\n    except BaseException: pass"
    failed, _ = start(code, seconds=0.5)
    assert failed["kind"] == "deadline"


def test_a_lifespan_that_never_ends_is_ended_at_the_deadline() -> None:
    code = """
import asyncio
async def app(scope, receive, send):
    await asyncio.sleep(3600)
"""
    failed, _ = start(code, seconds=0.5)
    assert failed["kind"] == "deadline"
    assert "start-up" in failed["reason"]


def test_a_crash_in_service_is_reported() -> None:
    code = "import os\nasync def app(scope, receive, send):\n    os._exit(7)"
    with running() as runner:
        runner.specialise(code.replace("os._exit", "scope['type'] == 'http' and os._exit"))
        runner.get()
        assert runner.heard("exited")["reason"] == "exited with code 7"


def test_user_code_is_alone_in_its_process() -> None:
    """Own session, empty stdin, no descriptor of the supervisor."""
    code = """
import os, sys
assert os.getsid(0) == os.getpid()
assert sys.stdin.read() == ""
print(__name__, __file__, sys.modules["app"].__name__)
for number in sorted(map(int, os.listdir("/proc/self/fd"))):
    try:
        print(number, os.readlink(f"/proc/self/fd/{number}").partition("[")[0])
    except FileNotFoundError:
        pass
async def app(scope, receive, send): ...
"""
    with running() as runner:
        assert runner.specialise(code)["type"] == "ready"
        runner.tell({"type": "stop", "seconds": 1})
        runner.heard("exited")
        names, *opened = runner.logs
        assert names == "app app.py app"
        assert opened[:3] == ["0 /dev/null", "1 pipe:", "2 pipe:"]
        assert opened[3:5] == ["3 socket:", "4 socket:"]  # its supervisor, its listener
        assert all(each.endswith(" pipe:") for each in opened[5:])  # the event loop library's own


def test_a_second_specialise_is_ignored() -> None:
    with running() as runner:
        runner.specialise(ECHO)
        runner.tell({"type": "specialise", "code": "1/0"})
        assert b"200 OK" in runner.get()


def test_a_flood_of_lines_is_bounded_and_marked() -> None:
    code = "for n in range(20000): print(n)\nasync def app(scope, receive, send): ..."
    with running() as runner:
        assert runner.specialise(code)["type"] == "ready"
        runner.tell({"type": "stop", "seconds": 1})
        runner.heard("exited")
        assert len(runner.logs) < 5000
        assert any("lines dropped" in line for line in runner.logs)


def test_a_running_sandbox_dials_again_when_its_manager_is_gone() -> None:
    with running() as runner:
        runner.specialise("print('hi')\n" + ECHO)
        runner.hang_up()
        hello = runner.accept()
        assert hello["state"] == "running"
        assert (hello["api_id"], hello["version_id"]) == ("api-1", "v-1")
        assert runner.heard("log")["text"] == "hi"
        assert b"200 OK" in runner.get()


def test_a_blank_ends_when_its_manager_is_gone() -> None:
    with running() as runner:
        runner.hang_up()
        assert runner.process.wait(10) == 0


def test_sigterm_stops_app_and_supervisor() -> None:
    with running() as runner:
        runner.specialise("import os\nprint(os.getpid())\n" + ECHO)
        pid = int(runner.logs[0]) if runner.logs else int(runner.heard("log")["text"])
        os.kill(runner.process.pid, signal.SIGTERM)
        exited = runner.heard("exited")
        assert (exited["reason"], exited["end"]) == ("stopped by SIGTERM", "crash")
        assert runner.process.wait(10) == 0
        until_blocking(lambda: not os.path.exists(f"/proc/{pid}"))


@pytest.mark.parametrize(
    "code",
    [
        "\ufeff# a byte order mark\nfrom fastapi import FastAPI\napp = FastAPI()",
        "# -*- coding: latin-1 -*-\nfrom fastapi import FastAPI\napp = FastAPI(title='ü')",
        "from starlette.applications import Starlette\nuser_app = Starlette()",
        "from fastapi import FastAPI, APIRouter\nrouter = APIRouter()\nservice = FastAPI()",
        "from fastapi import FastAPI\napp = FastAPI()\nother = FastAPI()",
        "class A:\n    async def __call__(self, scope, receive, send): ...\nthing = A()",
        "from __future__ import annotations\nfrom fastapi import FastAPI\nx = app = FastAPI()",
    ],
)
def test_every_way_to_offer_an_app_is_found(code: str) -> None:
    started, _ = start(code)
    assert started["type"] == "ready"


def test_pydantic_models_of_a_file_with_postponed_annotations_work() -> None:
    code = """
from __future__ import annotations
from fastapi import FastAPI
from pydantic import BaseModel
app = FastAPI()
class Item(BaseModel):
    name: str
@app.get("/")
async def root(n: int = 1) -> Item:
    return Item(name="x" * n)
"""
    with running() as runner:
        assert runner.specialise(code)["type"] == "ready"
        assert body(runner.get("/?n=3")) == {"name": "xxx"}

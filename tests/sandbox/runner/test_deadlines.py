"""Calls that run too long or compute too much: cancelled first, then all is ended."""

import json
import re
from typing import Any

import pytest

from sandbox.runner.frames import encode
from sandbox.types import EndReason
from tests.support.running import Runner, running

APP = """
import asyncio, os, signal, subprocess, sys, threading, time
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
app = FastAPI()

def burn(seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end: pass

@app.get("/quick")
async def quick(): return "quick"

@app.get("/sleep")
async def sleep():
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        print("cancelled")
        raise

@app.get("/stubborn")
async def stubborn():
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            print("not me")

@app.get("/spin")
async def spin(): burn()

@app.get("/thread")
def thread(): burn()

@app.get("/to_thread")
async def to_thread(): await asyncio.to_thread(burn)

@app.get("/short")
def short(): burn(1)

@app.get("/polite")
async def polite():
    while True:
        burn(0.02)
        await asyncio.sleep(0)

@app.get("/process")
async def process():
    with subprocess.Popen([sys.executable, "-Ic", "while True: pass"]) as child:
        try:
            await asyncio.sleep(60)
        finally:
            child.kill()

@app.get("/stream")
async def stream():
    async def parts():
        yield "first"
        await asyncio.sleep(1.2)
        yield "last"
    return StreamingResponse(parts())
"""


def context(milliseconds: int) -> str:
    return f"x-sandgate-context: 127.0.0.1 1 http /api id {milliseconds}"


def serving(runner: Runner, code: str = APP, **more: Any) -> None:
    assert runner.specialise(code, 30, **more)["type"] == "ready"


def test_a_call_past_its_deadline_is_cancelled_and_others_go_on() -> None:
    with running() as runner:
        serving(runner)
        answer = runner.get("/sleep", context(300))
        assert answer.startswith(b"HTTP/1.1 504 ")
        assert runner.get("/quick", context(5000)).endswith(b'"quick"')
        runner.tell({"type": "stop", "seconds": 5})
        assert runner.heard("exited")["end"] == EndReason.STOPPED
        assert "cancelled" in runner.logs
        line = "WARNING:  GET /api/sleep ran past its deadline and was cancelled"
        assert line in [re.sub(" +", "  ", text, count=1) for text in runner.logs]


@pytest.mark.parametrize("path", ["/stubborn", "/spin", "/thread", "/to_thread"])
def test_a_call_that_cannot_be_cancelled_ends_the_sandbox(path: str) -> None:
    with running() as runner:
        serving(runner)
        runner.get(path, context(300))
        exited = runner.heard("exited")
        assert exited["end"] == EndReason.DEADLINE
        assert exited["reason"] == (
            "a call ran past its deadline of 0.3 s and could not be cancelled"
        )
        assert runner.process.wait(10) == 0


def test_a_stream_has_a_deadline_for_its_first_byte_only() -> None:
    with running() as runner:
        serving(runner)
        assert b"last" in runner.get("/stream", context(700))


def test_a_call_without_a_deadline_has_none() -> None:
    with running() as runner:
        serving(runner)
        assert b"last" in runner.get("/stream", context(0))
        assert b"last" in runner.get("/stream")


def test_a_call_over_its_processor_time_is_cancelled() -> None:
    with running() as runner:
        serving(runner, call_cpu_seconds=0.4)
        assert runner.get("/polite", context(0)).startswith(b"HTTP/1.1 504 ")
        assert runner.get("/quick").endswith(b'"quick"')
        runner.tell({"type": "stop", "seconds": 5})
        assert runner.heard("exited")["end"] == EndReason.STOPPED
        assert any("used more processor time" in line for line in runner.logs)


def test_a_thread_that_ends_soon_after_its_call_was_cancelled_ends_nothing() -> None:
    with running() as runner:
        serving(runner)
        assert runner.get("/short", context(300)).startswith(b"HTTP/1.1 504 ")
        assert runner.get("/sleep", context(3000)).startswith(b"HTTP/1.1 504 ")


@pytest.mark.parametrize("path", ["/spin", "/thread"])
def test_a_call_that_computes_on_ends_the_sandbox(path: str) -> None:
    with running() as runner:
        serving(runner, call_cpu_seconds=0.4)
        runner.get(path, context(0))
        exited = runner.heard("exited")
        assert exited["end"] == EndReason.CPU
        assert "0.4 s of processor time" in exited["reason"]


def test_waiting_is_no_computing() -> None:
    with running() as runner:
        serving(runner, call_cpu_seconds=0.2)
        assert b"last" in runner.get("/stream", context(0))


def test_user_code_that_spoils_the_page_hurts_only_itself() -> None:
    """It can write the page and the socket; the supervisor goes on and obeys its manager."""
    code = f"""
import os, random, sys
random.seed(1)
frame = sys._getframe()
while "calls" not in frame.f_locals:
    frame = frame.f_back
page = frame.f_locals["calls"]._page
for n in range(len(page)):
    page[n] = random.randrange(-2**63, 2**63)
page[0] = 0
for n in range(300):
    os.write(3, {encode({"type": "busy"})!r})
async def app(scope, receive, send): ...
"""
    with running() as runner:
        serving(runner, code, call_cpu_seconds=0.5)
        runner.get("/", context(5000))
        runner.tell({"type": "stop", "seconds": 5})
        assert runner.heard("exited")["end"] == EndReason.STOPPED
        assert runner.process.wait(10) == 0


@pytest.mark.parametrize(
    "spoil",
    [
        "os.write(3, b'nonsense' * 99)",
        "os.write(3, b'\\x00\\x00\\x03\\xe0' + b'[' * 496 + b']' * 496)",
        "os.close(3)",
        "os.write(3, b'\\x00\\x00\\x00\\x02{}' * 999)",
    ],
)
def test_user_code_that_spoils_its_socket_is_still_served_and_stopped(spoil: str) -> None:
    code = "import os\nspoilt = False\n" + APP.replace(
        'async def quick(): return "quick"',
        f'async def quick():\n    {spoil}\n    return "quick"',
    )
    with running() as runner:
        serving(runner, code)
        assert runner.get("/quick", context(5000)).endswith(b'"quick"')
        runner.tell({"type": "stop", "seconds": 5})
        assert runner.heard("exited")["end"] == EndReason.STOPPED


@pytest.mark.parametrize(
    ("act", "end", "reason"),
    [
        ("os._exit(7)", EndReason.CRASH, "exited with code 7"),
        ("os._exit(0)", EndReason.CRASH, "the process ended by itself"),
        ("os.kill(os.getpid(), signal.SIGKILL)", EndReason.CRASH, "killed by SIGKILL"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", EndReason.CRASH, "killed by SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGSYS)", EndReason.SYSCALL, "a system call"),
        ("os.kill(os.getpid(), signal.SIGTERM)", EndReason.CRASH, "killed by SIGTERM"),
        ("os.kill(os.getppid(), signal.SIGTERM)", EndReason.CRASH, "stopped by SIGTERM"),
    ],
)
def test_how_a_process_ended_is_told(act: str, end: EndReason, reason: str) -> None:
    code = f"""
import os, signal
async def app(scope, receive, send):
    if scope["type"] == "http":
        {act}
"""
    with running() as runner:
        serving(runner, code)
        runner.get()
        exited = runner.heard("exited")
        assert exited["end"] == end
        assert exited["reason"].startswith(reason)
        assert runner.process.wait(10) == 0


def test_the_supervisor_ignores_the_signals_it_has_no_use_for() -> None:
    code = (
        """
import os, signal
for number in (1, 2, 3, 10, 12, 14, 20, 21, 22, 26, 27, 29):
    os.kill(os.getppid(), number)
"""
        + APP
    )
    with running() as runner:
        serving(runner, code)
        assert runner.get("/quick").endswith(b'"quick"')
        assert json.dumps(runner.process.poll()) == "null"

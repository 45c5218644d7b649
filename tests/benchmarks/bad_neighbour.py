"""What a neighbour does that misbehaves. Read as text and run in a sandbox only."""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from fastapi import FastAPI

app = FastAPI()
begun: set[str] = set()

PROCESSES = 8
LINE = "flood " * 100


def spin() -> None:
    """More processes than the machine has processors, none of which ever waits."""
    for _ in range(PROCESSES):
        if os.fork() == 0:
            while True:
                pass


def fork() -> None:
    """As many processes as there may be, all ended, and again."""
    children: list[int] = []
    while True:
        try:
            while True:
                pid = os.fork()
                if pid == 0:
                    time.sleep(60)
                    os._exit(0)
                children.append(pid)
        except OSError:
            for pid in children:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            children.clear()


def eat() -> None:
    """Processes that take all memory until the kernel ends them, one after the other."""
    while True:
        pid = os.fork()
        if pid == 0:
            held = []
            while True:
                held.append(b"x" * 4_000_000)
        os.waitpid(pid, 0)


def fill() -> None:
    """All of the writable space, removed, and again."""
    block = b"x" * 1_000_000
    while True:
        number = os.open("/tmp/full", os.O_WRONLY | os.O_CREAT)
        with suppress(OSError):
            while True:
                os.write(number, block)
        os.close(number)
        os.unlink("/tmp/full")


def descriptors() -> None:
    """All descriptors, closed, and again."""
    held: list[int] = []
    while True:
        with suppress(OSError):
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        for number in held:
            os.close(number)
        held.clear()


def log() -> None:
    """Lines as fast as they are taken."""
    while True:
        print(LINE)


MISDEEDS: dict[str, Callable[[], None]] = {
    each.__name__: each for each in (spin, fork, eat, fill, descriptors, log)
}


def _forked(misdeed: Callable[[], None]) -> None:
    """In a process of its own, so that the app itself goes on answering."""
    if os.fork() == 0:
        misdeed()
        time.sleep(3600)


@app.get("/{misdeed}")
async def begin(misdeed: str) -> str:
    """Once; later calls only keep it awake."""
    if misdeed not in begun:
        begun.add(misdeed)
        threading.Thread(target=_forked, args=(MISDEEDS[misdeed],), daemon=True).start()
    return misdeed

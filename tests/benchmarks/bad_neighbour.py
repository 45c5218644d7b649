"""What a neighbour does that misbehaves. Read as text and run in a sandbox only."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from fastapi import FastAPI

app = FastAPI()
begun: dict[str, int] = {}

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


@app.get("/{misdeed}")
async def turn(misdeed: str, on: bool = True) -> str:
    """Begin, stand still or go on."""
    if misdeed in begun:
        os.killpg(begun[misdeed], signal.SIGCONT if on else signal.SIGSTOP)
    elif on:
        begun[misdeed] = _begin(MISDEEDS[misdeed])
    return misdeed


def _begin(misdeed: Callable[[], None]) -> int:
    """In a group of processes of its own, so that the app itself goes on answering."""
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        misdeed()
        time.sleep(3600)
    os.setpgid(pid, pid)
    return pid

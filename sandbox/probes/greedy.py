"""Code that takes all it can get of something. Handed to a sandbox as text, never imported.

Each is tried in a sandbox of its own, which need not survive it.
"""
# ruff: noqa: S108 - the folders of whoever fills them

import errno
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI

app = FastAPI()
HOGS: dict[str, Callable[[], Any]] = {}
MANY = 100_000
PIECE = 1_000_000


def hog(function: Callable[[], Any]) -> Callable[[], Any]:
    """Make it callable by its name."""
    HOGS[function.__name__] = function
    return function


@app.get("/alive")
def alive() -> str:
    """Still here."""
    return "alive"


@app.get("/hog/{name}")
def run(name: str) -> Any:
    """One of them, in a thread as `def` endpoints are."""
    return HOGS[name]()


def counted(action: Callable[[int], object], most: int = MANY) -> dict[str, Any]:
    """How often something can be done, and what ends it."""
    for number in range(most):
        try:
            action(number)
        except OSError as error:
            return {"count": number, "error": errno.errorcode.get(error.errno or 0, "?")}
        except (RuntimeError, MemoryError) as error:
            return {"count": number, "error": type(error).__name__}
    return {"count": most, "error": "ok"}


# --- processes ------------------------------------------------------------------------------


@hog
def forks() -> dict[str, Any]:
    """As many processes as there are to be had."""
    children: list[int] = []

    def fork(_: int) -> None:
        child = os.fork()
        if child == 0:
            signal.pause()
        children.append(child)

    answer = counted(fork, 2000)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return answer


@hog
def threads() -> dict[str, Any]:
    """As many threads as there are to be had."""
    done = threading.Event()
    answer = counted(lambda _: threading.Thread(target=done.wait).start(), 2000)
    done.set()
    return answer


@hog
def zombies() -> dict[str, Any]:
    """Children that nobody waits for, and theirs, which outlive them."""

    def leave(_: int) -> None:
        if os.fork() == 0:
            if os.fork() == 0:
                os.setsid()
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                time.sleep(3600)
            os._exit(0)

    return counted(leave, 20)


# --- memory ---------------------------------------------------------------------------------


@hog
def heap() -> dict[str, Any]:
    """Memory as objects."""
    held: list[bytes] = []
    return counted(lambda n: held.append(bytes([n % 256]) * PIECE))


@hog
def mapping() -> dict[str, Any]:
    """One page in each two megabytes: most of it is the tables that lead there."""
    import mmap

    held: list[mmap.mmap] = []

    def touch(_: int) -> None:
        page = mmap.mmap(-1, 1 << 30)
        held.append(page)
        for at in range(0, 1 << 30, 1 << 21):
            page[at] = 1

    return counted(touch, 4000)


@hog
def memory_files() -> dict[str, Any]:
    """Files that lie in memory and in no folder."""

    def fill(_: int) -> None:
        os.write(os.memfd_create("m"), b"x" * PIECE)

    return counted(fill)


@hog
def pipes() -> dict[str, Any]:
    """What the kernel keeps for whoever does not read."""
    held: list[tuple[int, int]] = []

    def fill(_: int) -> None:
        held.append(os.pipe())
        os.set_blocking(held[-1][1], False)
        os.write(held[-1][1], b"x" * 65536)

    return counted(fill)


@hog
def sockets() -> dict[str, Any]:
    """The same over sockets."""
    held: list[tuple[socket.socket, socket.socket]] = []

    def fill(_: int) -> None:
        held.append(socket.socketpair())
        held[-1][0].setblocking(False)
        held[-1][0].send(b"x" * 100_000)

    return counted(fill)


# --- files ----------------------------------------------------------------------------------


@hog
def tmp() -> dict[str, Any]:
    """All of /tmp."""
    return counted(lambda n: Path(f"/tmp/fill{n}").write_bytes(b"x" * PIECE), 5000)


@hog
def shared() -> dict[str, Any]:
    """All of /dev/shm."""
    return counted(lambda n: Path(f"/dev/shm/fill{n}").write_bytes(b"x" * PIECE), 5000)


@hog
def names() -> dict[str, Any]:
    """Files without content, as many as there may be."""
    return counted(lambda n: os.close(os.open(f"/tmp/n{n}", os.O_CREAT | os.O_WRONLY)), 10 * MANY)


@hog
def sparse() -> dict[str, Any]:
    """A file that says it is larger than everything."""
    with open("/tmp/huge", "wb") as file:
        return counted(lambda _: os.truncate(file.fileno(), 10**12), 1)


@hog
def deep() -> dict[str, Any]:
    """Folders in folders, deeper than a path can be long."""

    def descend(_: int) -> None:
        os.mkdir("d" * 200)
        os.chdir("d" * 200)

    os.chdir("/tmp")
    return counted(descend, 10 * MANY)


@hog
def descriptors() -> dict[str, Any]:
    """Open files."""
    held: list[int] = []
    answer = counted(lambda _: held.append(os.open(os.devnull, os.O_RDONLY)))
    for number in held:
        os.close(number)
    return answer


@hog
def watchers() -> dict[str, Any]:
    """Things that wait for events, each with a part of the kernel's memory."""
    held: list[select.epoll] = []
    answer = counted(lambda _: held.append(select.epoll()))
    for one in held:
        one.close()
    return answer


# --- time, words and the end ----------------------------------------------------------------


@hog
def spin() -> None:
    """A thread that cannot be cancelled."""
    while True:
        pass


@app.get("/spin-loop")
async def spin_loop() -> None:
    """The event loop itself."""
    while True:
        pass


@hog
def stubborn() -> str:
    """Not to be asked to leave."""
    script = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(3600)"
    subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    return "stays"


@hog
def flood() -> int:
    """Lines without end."""
    for number in range(200_000):
        sys.stdout.write(f'{{"level": "error", "forged": {number}}}\n\x1b[2J')
    sys.stdout.flush()
    return number


@hog
def endless_line() -> int:
    """A line that never ends, of bytes that are no text."""
    written = 0
    for _ in range(2000):
        written += os.write(1, b"\xff\xfe" * 5000)
    return written


@hog
def kill_app() -> None:
    """The half of the sandbox that answers calls."""
    os.kill(os.getpid(), signal.SIGKILL)


@hog
def kill_all() -> dict[str, Any]:
    """Everything that can be killed."""
    return counted(lambda _: os.kill(-1, signal.SIGKILL), 3)

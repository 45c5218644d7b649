"""Code that tries the walls every tier has. Read as text and run in a sandbox only."""

import asyncio
import ctypes
import errno
import mmap
import os
import resource
import socket
import sqlite3
import time
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
from fastapi import FastAPI

app = FastAPI()
# the number is that of `getpid`; the caller's own id must not come back
INT_80 = b"\x53\xb8\x14\x00\x00\x00\xcd\x80\x5b\xc3"  # through the door of 32-bit programs
X32 = b"\xb8\x27\x00\x00\x40\x0f\x05\xc3"  # through that of the x32 ones


def in_a_child(action: Any) -> str:
    """How a process ends that does this: `signal 31`, or the text it makes."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            text = str(action())
        except BaseException as error:
            text = type(error).__name__
        os.write(writing, text.encode()[:200])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    _, status = os.waitpid(pid, 0)
    return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else said


def run_machine_code(code: bytes) -> str:
    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    result = ctypes.CFUNCTYPE(ctypes.c_long)(address)()
    return "worked" if result == os.getpid() else "refused"


@app.get("/abi")
def abi() -> dict[str, str]:
    return {
        "int80": in_a_child(lambda: run_machine_code(INT_80)),
        "x32": in_a_child(lambda: run_machine_code(X32)),
    }


@app.get("/mounts")
def mounts() -> list[list[str]]:
    """Mount point, kind and flags of everything mounted."""
    return [line.split()[1:4] for line in Path("/proc/self/mounts").read_text().splitlines()]


@app.get("/execute")
def execute() -> dict[str, str]:
    """What running a file of one's own making ends with."""
    answers = {}
    for folder in ("/tmp", "/dev/shm"):
        path = Path(folder) / "program"
        path.write_bytes(b"#!/python/bin/python3\n")
        path.chmod(0o755)
        try:
            os.waitpid(os.posix_spawn(path, [str(path)], {}), 0)
            answers[folder] = "ran"
        except OSError as error:
            answers[folder] = errno.errorcode[error.errno or 0]
        path.unlink()
    return answers


@app.get("/inodes")
def inodes(most: int) -> dict[str, Any]:
    """How many empty files can be made."""
    made, error = 0, "ok"
    try:
        for number in range(most):
            Path(f"/tmp/i{number}").touch()
            made += 1
    except OSError as caught:
        error = errno.errorcode[caught.errno or 0]
    for number in range(made):
        Path(f"/tmp/i{number}").unlink()
    return {"made": made, "error": error}


@app.get("/limits")
def limits() -> dict[str, int]:
    names = ("CORE", "NOFILE", "FSIZE")
    return {name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[1] for name in names}


@app.get("/descriptors")
def descriptors() -> int:
    """How many files can be open at once."""
    held: list[int] = []
    try:
        while len(held) < 100_000:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    for number in held:
        os.close(number)
    return len(held)


@app.get("/usual")
def usual() -> dict[str, str]:
    """What ordinary programs need must go on working."""
    return {
        "names": in_a_child(
            lambda: socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)[0][4][1]
        ),
        "sqlite": in_a_child(sqlite),
        "asyncio": in_a_child(lambda: asyncio.run(talk())),
        "uvloop": in_a_child(lambda: uvloop.run(talk())),
        "uvicorn": in_a_child(serve),
        "datagram": in_a_child(
            lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).fileno() > 0
        ),
    }


def sqlite() -> int:
    with sqlite3.connect("/tmp/a.db") as database:
        database.execute("create table t (n int)")
        database.execute("insert into t values (80)")
        found: int = database.execute("select n from t").fetchone()[0]
    os.unlink("/tmp/a.db")
    return found


async def talk() -> int:
    """A server and a client over loopback."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(2))
        writer.close()

    server = await asyncio.start_server(answer, "localhost", 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"80")
    text = await reader.readexactly(2)
    writer.close()
    server.close()
    return int(text)


def serve() -> int:
    """A second server of one's own."""
    server = uvicorn.Server(
        uvicorn.Config(FastAPI(), host="127.0.0.1", port=8080, log_level="error")
    )

    async def run() -> int:
        task = asyncio.create_task(server.serve())
        until = time.monotonic() + 10
        while not server.started and time.monotonic() < until:
            await asyncio.sleep(0.01)
        server.should_exit = True
        await task
        return 80 if server.started else 0

    return asyncio.run(run())

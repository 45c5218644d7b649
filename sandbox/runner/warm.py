"""Pays the costs of a first app before there is code: imports, first model, first call."""

import asyncio
import gc
import importlib
import os
import socket

from fastapi import FastAPI
from pydantic import BaseModel

from .calls import Calls
from .context import Context
from .serving import Server, make_config, run
from .threads import install

# what user code imports most often, so that it is there when it asks
_MODULES = (
    "collections",
    "datetime",
    "decimal",
    "email_validator",
    "enum",
    "fastapi.middleware.cors",
    "fastapi.responses",
    "fastapi.security",
    "fastapi.staticfiles",
    "hashlib",
    "itertools",
    "math",
    "multipart",
    "orjson",
    "random",
    "re",
    "sqlite3",
    "starlette.background",
    "starlette.websockets",
    "statistics",
    "string",
    "time",
    "typing",
    "uuid",
    "zoneinfo",
)

_CALL_SECONDS = 20.0
_BODY = b'{"name":"a"}'
_REQUEST = (
    b"POST /items/1?limit=2 HTTP/1.1\r\nx-sandgate-context: 127.0.0.1 1 http /warm 0 60000\r\n"
    b"Host: warm\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
) % (len(_BODY), _BODY)


class _Item(BaseModel):
    name: str
    size: int = 1


def warm(calls: Calls, *, practises: bool = True) -> None:
    """Import, build and call one small app; what is there then is no work for the collector.

    When code waits already, practising would only come before what it is practice for.
    """
    for name in _MODULES:
        importlib.import_module(name)
    install()
    if practises:
        _serve_once(Context(_small_app(), calls))
        gc.collect()
    gc.freeze()


def _small_app() -> FastAPI:
    application = FastAPI()

    @application.post("/items/{number}")
    async def add(number: int, item: _Item, limit: int = 1) -> _Item:
        return item.model_copy(update={"size": number + limit})

    return application


def _serve_once(application: Context) -> None:
    """The whole way of a call, over an address in memory; not every kernel chooses one itself."""
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as caller:
        listener.bind(f"\0sandgate-warm-{os.getpid()}")
        listener.listen(1)
        caller.connect(listener.getsockname())
        for sock in (listener, caller):
            sock.setblocking(False)
        calls: list[asyncio.Task[None]] = []

        def ready() -> None:
            calls.append(asyncio.get_running_loop().create_task(_call(caller, server)))

        server = Server(make_config(application), listener, ready)
        run(server)
        for call in calls:
            call.result()


async def _call(caller: socket.socket, server: Server) -> None:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_CALL_SECONDS):
            await loop.sock_sendall(caller, _REQUEST)
            answer = await loop.sock_recv(caller, 4096)
    finally:
        caller.close()
        server.end()
    if b" 200 " not in answer:
        raise RuntimeError(f"the warming call was answered {answer!r}")

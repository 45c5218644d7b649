"""Pays the costs of a first app before there is code: imports, first model, first call."""

import asyncio
import gc
import importlib
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from .context import Context
from .serving import make_config

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
    "jinja2",
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


class _Item(BaseModel):
    name: str
    size: int = 1


def warm() -> None:
    """Import, build and call one small app, then freeze what is there for the fork."""
    for name in _MODULES:
        importlib.import_module(name)
    application = _small_app()
    make_config(application).load()
    asyncio.run(_call(application))
    gc.collect()
    gc.freeze()


def _small_app() -> FastAPI:
    application = FastAPI()

    @application.post("/items/{number}")
    async def add(number: int, item: _Item, limit: int = 1) -> _Item:
        return item.model_copy(update={"size": number + limit})

    return application


async def _call(application: FastAPI) -> None:
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/items/1",
        "raw_path": b"/items/1",
        "query_string": b"limit=2",
        "root_path": "",
        "headers": [(b"content-type", b"application/json")],
        "client": None,
        "server": None,
        "state": {},
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b'{"name":"a"}', "more_body": False}

    async def send(message: Any) -> None:
        if message.get("status", 200) != 200:
            raise RuntimeError("the warming call was not answered as expected")

    await Context(application)(scope, receive, send)

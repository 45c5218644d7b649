"""What the database itself refuses to keep as call settings or as a price."""

import json
from typing import Any

import asyncpg
import pytest

from gateway.store.database import Database
from tests.support.factories import MadeApi, make_api, make_user

CORS = {
    "origins": ["https://app.example.com"],
    "methods": ["GET"],
    "headers": ["*"],
    "expose": [],
    "credentials": True,
    "max_age": 600,
}
SOCKET = {
    "enabled": True,
    "message_bytes": 1,
    "idle_seconds": 1,
    "total_seconds": 1,
    "limit_messages": False,
}
STREAMS = {"idle_seconds": 1, "total_seconds": 86_400}

REFUSED: list[Any] = [
    None,
    [],
    {"colour": 1},
    {"cache": 1},
    {"queue": -1},
    {"queue": 1.5},
    {"queue": "1"},
    {"max_concurrency": 0},
    {"documents": "all"},
    {"documents": None},
    {"validate": None},
    {"cors": None},
    {"cors": {}},
    {"cors": {**CORS, "origins": []}},
    {"cors": {**CORS, "origins": ["*"]}},
    {"cors": {**CORS, "origins": "*"}},
    {"cors": {**CORS, "headers": ["a, b"]}},
    {"cors": {**CORS, "headers": ["a\r\nb"]}},
    {"cors": {**CORS, "expose": [1]}},
    {"cors": {**CORS, "max_age": 86_401}},
    {"cors": {**CORS, "more": 1}},
    {"cors": {name: CORS[name] for name in CORS if name != "methods"}},
    {"websocket": {}},
    {"websocket": {**SOCKET, "message_bytes": 16_777_217}},
    {"websocket": {**SOCKET, "enabled": None}},
    {"streams": {**STREAMS, "idle_seconds": 0}},
    {"streams": {"idle_seconds": 1}},
]


@pytest.fixture
async def api(dsn: str, database: Database) -> MadeApi:
    person = await make_user(dsn)
    return await make_api(database, person.tenant_id)


async def keep(dsn: str, api: MadeApi, settings: Any) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(
            "update public.apis set call_settings = $2 where id = $1", api.id, json.dumps(settings)
        )
    finally:
        await connection.close()


async def test_whole_settings_are_kept(dsn: str, api: MadeApi) -> None:
    every = {"cache": True, "max_concurrency": 1, "queue": 0, "documents": "off", "validate": True}
    await keep(dsn, api, {**every, "cors": CORS, "websocket": SOCKET, "streams": STREAMS})


async def test_what_could_not_be_used_is_refused(dsn: str, api: MadeApi) -> None:
    for settings in REFUSED:
        with pytest.raises(asyncpg.PostgresError):
            await keep(dsn, api, settings)


async def test_price_is_never_negative(dsn: str, api: MadeApi) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for price in (-1, 1_000_000_000_001):
            with pytest.raises(asyncpg.CheckViolationError):
                await connection.execute("update public.apis set price_nano_usd = $1", price)
    finally:
        await connection.close()

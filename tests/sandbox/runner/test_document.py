"""The app is asked for its OpenAPI document, in a copy of its process that nothing can hurt."""

import asyncio
import base64
import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette

from sandbox.runner.document import Inquiry
from sandbox.runner.frames import Message
from tests.support.running import Runner, running

APP = """
import json, os, struct
from fastapi import FastAPI
app = FastAPI(title="Cats", description="the word is hunter2-hunter2")

@app.get("/cats/{n}")
def cat(n: int) -> dict[str, int]:
    return {"n": n}

@app.get("/say")
def say():
    body = json.dumps({"type": "document", "data": ""}).encode()
    os.write(3, struct.pack(">I", len(body)) + body)
    print("said")
"""


def ask(runner: Runner) -> Message:
    runner.tell({"type": "describe"})
    return runner.heard("document")


def document(answer: Message) -> Any:
    return json.loads(base64.b64decode(answer["data"]))


def test_a_fastapi_app_says_what_it_offers_whenever_it_is_asked_and_only_then() -> None:
    with running() as runner:
        runner.specialise(APP, redact=["hunter2-hunter2"])
        first, second = ask(runner), ask(runner)
        assert document(first)["info"]["title"] == "Cats"
        assert "/cats/{n}" in document(first)["paths"]
        assert document(first)["info"]["description"] == "the word is [secret]"
        assert document(first) == document(second)
        runner.get("/say")
        kinds: list[str] = []
        while not kinds or kinds[-1] != "log":
            message = runner.hear()
            assert message is not None
            kinds.append(message["type"])
        assert kinds == ["log"]


class App:
    """Something with an `openapi()`."""

    def __init__(self, openapi: Callable[[], Any]) -> None:
        self.openapi = openapi


async def asked(application: object, seconds: float = 5) -> tuple[str, str]:
    """What an application says, and its note; the copy is one of this very process."""
    answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    Inquiry(application, answer.set_result, seconds).begin()
    message = await asyncio.wait_for(answer, 20)
    return base64.b64decode(message["data"]).decode(), message.get("note", "")


def raises() -> None:
    raise ValueError("no   such\nthing")


def hangs() -> None:
    while True:
        pass


async def test_a_document_comes_out_as_it_was_made() -> None:
    assert await asked(App(lambda: {"é": 1})) == ('{"é":1}', "")


@pytest.mark.parametrize(
    ("application", "note"),
    [
        (Starlette(), "the app has no openapi()"),
        (App(raises), "app.openapi() raised ValueError: no such thing"),
        (App(lambda: ["a"]), "app.openapi() returned no JSON object but list"),
        (App(lambda: {"x": "a" * 600_000}), "the document is larger than 512 KiB"),
        (App(lambda: {"x": "a" * 200_000_000}), "app.openapi() used more than 64 MB of memory"),
        (App(lambda: os._exit(0)), "the process that made the document ended without a word"),
    ],
    ids=["none", "raises", "a list", "too large", "giant", "exits"],
)
async def test_an_app_that_makes_none_says_why(application: object, note: str) -> None:
    assert await asked(application) == ("", note)


async def test_an_app_that_hangs_is_ended_in_the_copy() -> None:
    note = "app.openapi() did not return within 0.2 seconds"
    assert await asked(App(hangs), seconds=0.2) == ("", note)


async def test_who_wants_no_document_gets_none() -> None:
    application = App(dict)
    application.openapi_url = None  # type: ignore[attr-defined]
    assert "openapi_url is None" in (await asked(application))[1]


async def test_numbers_that_json_does_not_know_are_refused() -> None:
    text, note = await asked(App(lambda: {"x": float("nan")}))
    assert text == ""
    assert note.startswith("app.openapi() raised ValueError")

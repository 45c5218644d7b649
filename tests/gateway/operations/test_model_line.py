"""A question to a language model over the worker's socket, and all the ways in which it ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import pytest

from gateway.operations.model_line import ModelDesk, RemoteModels, ToldError
from generator.chat import Speaker
from generator.llm.base import (
    Answer,
    CapReachedError,
    ModelUnavailableError,
    Prompt,
    Tool,
    ToolResult,
    ToolUse,
    Turn,
)
from tests.support.scripted_turns import ScriptedTurns, says

USER, TENANT = UUID(int=1), UUID(int=2)
PROMPT = Prompt(
    "chat",
    "system",
    (
        Turn("user", "Wie geht’s? \u2028 \x00"),
        Turn("assistant", "", uses=(ToolUse("1", "look", {"api": "x"}),)),
        Turn("user", results=(ToolResult("1", "seven", is_error=True),)),
    ),
    tools=(Tool("look", "Looks.", {"type": "object"}),),
)


@dataclass(slots=True)
class Endless:
    """Says one thing and then nothing for ever."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def stream(self, prompt: Prompt) -> AsyncIterator[str | Answer]:
        """Until it is closed."""
        try:
            yield "begun"
            self.begun.set()
            await asyncio.Event().wait()
        finally:
            self.left.set()


@asynccontextmanager
async def desk(path: Path, model: Speaker) -> AsyncIterator[list[tuple[UUID, UUID]]]:
    """A worker's desk; who asked."""
    asked: list[tuple[UUID, UUID]] = []

    def model_for(user_id: UUID, tenant_id: UUID) -> Speaker:
        asked.append((user_id, tenant_id))
        return model

    serving = asyncio.create_task(ModelDesk(model_for).run(path))
    try:
        async with asyncio.timeout(10):
            while not path.exists():
                await asyncio.sleep(0.01)
        yield asked
    finally:
        serving.cancel()
        await asyncio.wait({serving})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "models.sock"


async def said(path: Path) -> list[str | Answer]:
    return [part async for part in RemoteModels(path).model_for(USER, TENANT).stream(PROMPT)]


async def test_pieces_and_the_answer_come_as_they_were_said(path: Path) -> None:
    answer = says("Gut.\n", ("look", {"api": "ü"}))
    model = ScriptedTurns([answer])
    async with desk(path, model) as asked:
        assert await said(path) == ["Gu", "t.\n", answer]
    assert (asked, model.prompts) == ([(USER, TENANT)], [PROMPT])


async def test_a_failure_keeps_its_code_and_its_reason(path: Path) -> None:
    async with desk(path, ScriptedTurns([CapReachedError("Too dear.", "user")])):
        with pytest.raises(ToldError) as raised:
            await said(path)
    assert (raised.value.code, raised.value.reason) == ("cost_cap_reached", "Too dear.")


async def test_without_a_worker_it_is_unavailable(path: Path) -> None:
    with pytest.raises(ModelUnavailableError):
        await said(path)


async def test_a_worker_that_breaks_is_unavailable_and_the_next_question_is_answered(
    path: Path,
) -> None:
    broken = ScriptedTurns([])  # runs out of turns: an IndexError that nobody foresaw
    async with desk(path, broken):
        with pytest.raises(ModelUnavailableError):
            await said(path)
        broken.turns = [says("x"), says("Here.")]
        assert (await said(path))[-1] == says("Here.")


async def test_whoever_hangs_up_ends_the_question(path: Path) -> None:
    model = Endless()
    async with desk(path, model):
        async with aclosing(RemoteModels(path).model_for(USER, TENANT).stream(PROMPT)) as parts:
            assert await anext(parts) == "begun"
        async with asyncio.timeout(10):
            await model.left.wait()


async def test_a_worker_that_ends_takes_its_questions_along(path: Path) -> None:
    model = Endless()
    stream = RemoteModels(path).model_for(USER, TENANT).stream(PROMPT)
    async with desk(path, model):
        assert await anext(stream) == "begun"
        rest = asyncio.ensure_future(anext(stream))
        await model.begun.wait()
    rest.cancel()
    await asyncio.wait({rest})
    await stream.aclose()
    assert model.left.is_set()


async def test_what_an_older_worker_left_is_no_obstacle(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    path.write_bytes(b"left")
    async with desk(path, ScriptedTurns([says("x")])):
        async with asyncio.timeout(10):
            while not path.is_socket():
                await asyncio.sleep(0.01)
        assert (await said(path))[-1] == says("x")


async def test_only_its_own_user_reaches_it(path: Path) -> None:
    async with desk(path, ScriptedTurns([])):
        assert path.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "line",
    [
        b"", b"\n", b"{", b"[]\n", b"{}\n", b"\xff\n", b"7\n",
        json.dumps({"user_id": "x", "tenant_id": "y", "prompt": {}}).encode() + b"\n",
        json.dumps({"user_id": str(USER), "tenant_id": str(TENANT), "prompt": 1}).encode() + b"\n",
    ],
)  # fmt: skip
async def test_what_is_no_question_is_hung_up_on(path: Path, line: bytes) -> None:
    async with desk(path, ScriptedTurns([says("x")])) as asked:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(line)
        writer.write_eof()
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()
        assert (await said(path))[-1] == says("x")  # it goes on for others
    assert asked == [(USER, TENANT)]

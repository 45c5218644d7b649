"""Between gateways and the worker: a question to a language model, and its answer as it comes.

The worker alone loads the client of the models. One connection a question: a line of
JSON there, lines of JSON back; whoever hangs up ends the question. The budget is the worker's.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import structlog
from pydantic import TypeAdapter, ValidationError

from generator.chat import Speaker, parts_of
from generator.llm.base import Answer, ModelUnavailableError, Prompt
from generator.types import GeneratorError
from sandbox.paths import make_private

LINE_BYTES = 4 * 1024 * 1024
ASK_SECONDS = 10.0
ANSWER_SECONDS = 300.0  # between two lines; the model's own deadlines are shorter
QUESTIONS = 16  # at a time
_PROMPT, _ANSWER = TypeAdapter(Prompt), TypeAdapter(Answer)
_log = structlog.get_logger(__name__)


class ToldError(GeneratorError):
    """What went wrong at the other end, with its own code."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """A model that the worker asks, on the account of one person."""

    path: Path
    user_id: UUID
    tenant_id: UUID

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Answer, None]:
        """Pieces as they come, then the whole answer; ModelUnavailableError without a worker."""
        try:
            async with asyncio.timeout(ASK_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self.path, limit=LINE_BYTES)
        except (OSError, TimeoutError) as error:
            raise _away() from error
        try:
            writer.write(self._question(prompt))
            async for part in _parts(reader):
                yield part
                if isinstance(part, Answer):
                    return
        finally:
            writer.close()

    def _question(self, prompt: Prompt) -> bytes:
        who = {"user_id": str(self.user_id), "tenant_id": str(self.tenant_id)}
        return (
            json.dumps({**who, "prompt": _PROMPT.dump_python(prompt, mode="json")}).encode() + b"\n"
        )


@dataclass(frozen=True, slots=True)
class RemoteModels:
    """`Assistants` of a gateway."""

    path: Path

    def model_for(self, user_id: UUID, tenant_id: UUID) -> RemoteModel:
        """One for each question."""
        return RemoteModel(self.path, user_id, tenant_id)


async def _parts(reader: asyncio.StreamReader) -> AsyncGenerator[str | Answer, None]:
    while True:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                line = await reader.readline()
            told = json.loads(line) if line else {}
        except (OSError, TimeoutError, ValueError) as error:
            raise _away() from error
        if "piece" in told:
            yield str(told["piece"])
        elif "answer" in told:
            yield _ANSWER.validate_python(told["answer"])
        elif "code" in told:
            raise ToldError(str(told["code"]), str(told["reason"]))
        else:
            raise _away()


def _away() -> ModelUnavailableError:
    return ModelUnavailableError("The worker that asks the language model is away; try again.")


@dataclass(slots=True)
class ModelDesk:
    """The worker's end. Only who may open the socket's directory can ask."""

    model_for: Callable[[UUID, UUID], Speaker]
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(QUESTIONS))
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self, path: Path) -> None:
        """Answer until cancelled; then every question ends as well."""
        await asyncio.to_thread(_cleared, path)
        server = await asyncio.start_unix_server(self._took, path, limit=LINE_BYTES)
        try:
            async with server:
                await server.serve_forever()
        finally:
            await self._end_all()

    async def _end_all(self) -> None:
        for task in self._open:
            task.cancel()
        if self._open:
            await asyncio.wait(self._open)

    def _took(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._open.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("model_question_broke", exc_info=error)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                line = await reader.readline()
            async with self._room:
                await self._answer(line, reader, writer)
        except (OSError, TimeoutError, ValueError) as error:
            _log.warning("model_question_ended", error=str(error))
        finally:
            writer.close()

    async def _answer(
        self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """To its end, or until whoever asked hangs up."""
        answering = asyncio.create_task(self._told(line, writer))
        gone = asyncio.create_task(reader.read(1))
        try:
            await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (answering, gone):
                task.cancel()
            await asyncio.wait({answering, gone})
        if not answering.cancelled() and (error := answering.exception()) is not None:
            raise error

    async def _told(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        question = json.loads(line)
        try:
            prompt = _PROMPT.validate_python(question["prompt"])
            model = self.model_for(UUID(question["user_id"]), UUID(question["tenant_id"]))
        except (KeyError, TypeError, ValidationError) as error:
            raise ValueError("not a question") from error
        try:
            async with aclosing(parts_of(model, prompt)) as parts:
                async for part in parts:
                    await _tell(writer, _line(part))
        except GeneratorError as error:
            await _tell(writer, {"code": error.code, "reason": error.reason})


def _cleared(path: Path) -> None:
    """Nothing of a worker before is in the way."""
    make_private(path.parent)
    path.unlink(missing_ok=True)


def _line(part: str | Answer) -> dict[str, object]:
    if isinstance(part, str):
        return {"piece": part}
    return {"answer": _ANSWER.dump_python(part, mode="json")}


async def _tell(writer: asyncio.StreamWriter, told: dict[str, object]) -> None:
    writer.write(json.dumps(told).encode() + b"\n")
    await writer.drain()

"""A language model behind a Messages API: Anthropic's own, or one that speaks like it."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ValidationError

from generator.llm import plain
from generator.llm.base import (
    Answer,
    Budget,
    CutOffError,
    Echo,
    Form,
    ModelMisconfiguredError,
    OnText,
    Prompt,
    Purpose,
    Spent,
    Turn,
    UnusableAnswerError,
)
from generator.llm.capabilities import Capabilities, capabilities
from generator.llm.endpoint import Endpoint
from generator.llm.failures import FAILED, Failure, failure, of_stop
from generator.llm.gather import BrokenStreamError, Gathered
from generator.llm.prices import cost, most, price_of
from generator.llm.request import message, opaque, parameters
from generator.llm.spending import held

PAUSES = 3  # how often a paused turn is gone on with
LEAST_ROOM = 256  # tokens for an answer, below which asking makes no sense


class Failed(Exception):  # noqa: N818 - one try, not the call
    """A try that gave no answer."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error.code)
        self.failure = failure


@dataclass(slots=True)
class Call:
    """One request with what its tries share."""

    prompt: Prompt
    row: Capabilities
    request: dict[str, Any]
    tokens: int
    deadline: float


class AnthropicModel:
    """A `Model` for one budget and one user, over an endpoint that many share."""

    def __init__(self, endpoint: Endpoint, budget: Budget, user_id: str = "") -> None:
        self._endpoint = endpoint
        self._settings = endpoint.settings
        self._budget = budget
        self._user = opaque(user_id, self._settings.user_salt)

    def named(self, purpose: Purpose) -> str:
        """Which model answers for this purpose."""
        return self._settings.model_for(purpose)

    def escalated(self, purpose: Purpose) -> "AnthropicModel | None":
        """The same with the stronger model that the table names for this purpose, if any."""
        stronger = self._row(purpose).stronger
        if not stronger:
            return None
        other = AnthropicModel(self._endpoint, self._budget)
        other._user = self._user
        other._settings = replace(
            self._settings, models={**self._settings.models, purpose: stronger}
        )
        return other

    async def converse(self, prompt: Prompt, on_text: OnText | None = None) -> Answer:
        """One turn. After a lost connection the pieces come again from the start."""
        return _not_empty(await self._whole(prompt, None, on_text))

    async def fill(self, prompt: Prompt, form: type[Form]) -> Form:
        """An answer in this form; told once what is wrong with it."""
        answer = await self._whole(prompt, form)
        try:
            return plain.read(answer.text, form)
        except ValueError as error:
            told = Turn("user", plain.complaint(error))
        said = (answer.turn,) if answer.text else ()
        again = replace(prompt, turns=(*prompt.turns, *said, told))
        answer = await self._whole(again, form)
        try:
            return plain.read(answer.text, form)
        except ValidationError as error:
            wrong = f"it has {error.error_count()} faults"
        except ValueError:
            wrong = "it is no JSON object"
        raise UnusableAnswerError(f"The answer has not the form that was asked for: {wrong}.")

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Answer, None]:
        """Pieces of text, then the answer. What was shown is never said again: no new try then."""
        async with aclosing(self._say(prompt, None, restarts=False)) as pieces:
            async for piece in pieces:
                yield _not_empty(piece) if isinstance(piece, Answer) else piece

    async def _whole(
        self, prompt: Prompt, form: type[BaseModel] | None, on_text: OnText | None = None
    ) -> Answer:
        async with aclosing(self._say(prompt, form, restarts=True)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Answer):
                    return piece
                if on_text is not None:
                    await on_text(piece)
        raise UnusableAnswerError("The model gave no answer.")

    async def _say(
        self, prompt: Prompt, form: type[BaseModel] | None, *, restarts: bool
    ) -> AsyncGenerator[str | Answer, None]:
        """All tries of a call, and what follows when the model pauses its turn."""
        call = await self._call(prompt, form)
        said = ""
        for _ in range(PAUSES):
            async with aclosing(self._tries(call, restarts=restarts)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, str):
                        yield piece
                    elif piece.stop == "pause_turn" and piece.echo is not None:
                        said += piece.text
                        following = (piece.turn, Turn("user", "Go on."))
                        call.request["messages"] += [message(t, piece.model) for t in following]
                    else:
                        yield replace(piece, text=said + piece.text)
                        return
        raise UnusableAnswerError("The model paused again and again.")

    def _row(self, purpose: Purpose) -> Capabilities:
        return capabilities(self.named(purpose), self._settings.provider)

    async def _call(self, prompt: Prompt, form: type[BaseModel] | None) -> Call:
        """The request, counted, with room for an answer."""
        if self._settings.missing:
            raise ModelMisconfiguredError(self._settings.missing)
        row = self._row(prompt.purpose)
        effort = self._settings.effort_for(prompt.purpose)
        request = parameters(prompt, row, effort=effort, form=form, user=self._user)
        deadline = asyncio.get_running_loop().time() + self._settings.patience.total
        tokens = await self._endpoint.count(request, asks=row.count_tokens)
        tokens += tokens // 50 + 16  # a count is near, not exact
        room = row.context - tokens
        if room < LEAST_ROOM:
            raise CutOffError("The request is longer than the model can read.")
        request["max_tokens"] = min(request["max_tokens"], room)
        return Call(prompt, row, request, tokens, deadline)

    async def _tries(self, call: Call, *, restarts: bool) -> AsyncGenerator[str | Answer, None]:
        patience = self._settings.patience
        shown = False
        for left in reversed(range(patience.tries)):
            try:
                async with aclosing(self._attempt(call)) as pieces:
                    async for piece in pieces:
                        shown = True
                        yield piece
                return
            except Failed as failed:
                pause = failed.failure.after or min(2.0 ** (patience.tries - left - 2), 20.0)
                ends = asyncio.get_running_loop().time() + pause >= call.deadline
                given_up = not failed.failure.again or left == 0 or (shown and not restarts)
                if given_up or ends or pause > patience.longest_pause:
                    raise failed.failure.error from None
            await self._endpoint.sleep(pause)

    async def _attempt(self, call: Call) -> AsyncGenerator[str | Answer, None]:
        """One try: reserved, asked, settled with what is known, however it ends."""
        gathered, began, request_id, outcome = Gathered(), time.monotonic(), "", "cancelled"
        model, settings = call.row.name, self._settings
        price = price_of(model, settings.provider, settings.own_price)
        amount = most(price, call.tokens, call.request["max_tokens"])
        async with held(self._budget, call.prompt.purpose, model, amount) as note:
            try:
                async with self._endpoint.opened(call.request, call.deadline) as stream:
                    request_id = stream.request_id
                    while (piece := await stream.into(gathered, call.deadline)) is not None:
                        if piece:
                            yield piece
                outcome = gathered.stop or outcome
                answer = self._answer(call, gathered)
            except FAILED as error:
                failed = failure(error, settings.api_key)
                outcome = failed.error.code
                raise Failed(failed) from None
            finally:
                used = gathered.usage
                if gathered.started:
                    note.spent = Spent(
                        call.prompt.purpose,
                        settings.provider,
                        model,
                        request_id,
                        used,
                        price.id,
                        cost(price, used),
                        time.monotonic() - began,
                        outcome,
                    )
        yield replace(answer, nano_usd=cost(price, used))

    def _answer(self, call: Call, gathered: Gathered) -> Answer:
        if not gathered.started or not gathered.stop:
            raise BrokenStreamError("the answer broke off")
        wrong = of_stop(gathered.stop, gathered.category)
        if wrong is not None:
            raise Failed(Failure(wrong))
        text, uses, blocks = gathered.whole()
        echo: Echo | None = Echo(call.row.name, blocks)
        if not uses and call.prompt.tools and not call.row.strict_tools:
            uses = plain.uses(text, call.prompt.tools)
            echo = None if uses else echo
        stop = "tool_use" if uses else gathered.stop
        return Answer(text, uses, stop, call.row.name, gathered.usage, 0, echo)


def _not_empty(answer: Answer) -> Answer:
    if not answer.text.strip() and not answer.uses:
        raise UnusableAnswerError("The model's answer is empty.")
    return answer

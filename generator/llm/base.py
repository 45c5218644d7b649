"""What the loop asks of a language model, and what it is told of the cost."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from pydantic import BaseModel

from generator.types import GeneratorError

Form = TypeVar("Form", bound=BaseModel)
Purpose = Literal["screen", "contract", "code", "repair", "edit", "chat", "suggest"]
OnText = Callable[[str], Awaitable[None]]  # pieces of text or of a tool's input, as they come


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens by the classes that have a price of their own."""

    input: int = 0
    output: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    cache_read: int = 0


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool the model may use. `schema` is the JSON Schema of its input, closed."""

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One use of a tool that the model asks for."""

    id: str
    name: str
    input: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came of it, for the next turn."""

    id: str
    text: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Echo:
    """What a model said as it came, thinking included; only this model may get it back."""

    model: str
    blocks: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation: what a person or a tool said, or what the model did."""

    role: Literal["user", "assistant"]
    text: str = ""
    uses: tuple[ToolUse, ...] = ()
    results: tuple[ToolResult, ...] = ()
    echo: Echo | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request. `system` and `context` never hold a user's text; they are cached."""

    purpose: Purpose
    system: str
    turns: tuple[Turn, ...]
    context: tuple[str, ...] = ()  # documents of ours that stay the same from call to call
    tools: tuple[Tool, ...] = ()
    max_tokens: int = 16_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said, whole."""

    text: str
    uses: tuple[ToolUse, ...]
    stop: str
    model: str
    usage: Usage = Usage()
    nano_usd: int = 0
    echo: Echo | None = None

    @property
    def turn(self) -> Turn:
        """It as the model's turn, to go on from; better than one made by hand, for the echo."""
        return Turn("assistant", self.text, self.uses, echo=self.echo)


class Model(Protocol):
    """A language model. Each call reserves its cost before and settles it after.

    Every method may raise a ModelError or the budget's CapReachedError, and can be cancelled.
    """

    def named(self, purpose: Purpose) -> str:
        """Which model answers for this purpose."""
        ...

    async def converse(self, prompt: Prompt, on_text: OnText | None = None) -> Answer:
        """One turn: text, or uses of the prompt's tools."""
        ...

    async def fill(self, prompt: Prompt, form: type[Form]) -> Form:
        """An answer in this form; UnusableAnswerError when it is none after one more try."""
        ...

    def stream(self, prompt: Prompt) -> AsyncIterator[str | Answer]:
        """Pieces of text as they come, then the whole answer."""
        ...


class ModelError(GeneratorError):
    """The model gave no answer that can be used."""

    code = "model_failed"


class ModelUnavailableError(ModelError):
    """Overloaded, rate limited, unreachable, silent or broken after all retries."""

    code = "model_unavailable"


class ModelMisconfiguredError(ModelError):
    """The key, the address or the model's name is not accepted; the operator must act."""

    code = "model_misconfigured"


class RefusedError(ModelError):
    """The model will not do this."""

    code = "model_refused"


class CutOffError(ModelError):
    """The answer reached its length limit, or the model's window is full."""

    code = "model_cut_off"


class UnusableAnswerError(ModelError):
    """The answer has not the form that was asked for."""

    code = "model_answer_unusable"


@dataclass(frozen=True, slots=True)
class Spent:
    """One call of a model, for the ledger."""

    purpose: Purpose
    provider: str  # anthropic, compatible, scripted
    model: str
    request_id: str
    usage: Usage
    price: str  # id of the row of the price table
    nano_usd: int
    seconds: float
    stop: str  # the stop reason, or the error's code


class Reservation(Protocol):
    """An amount set aside for one call."""

    async def settle(self, spent: Spent) -> None:
        """What it really was; once."""
        ...

    async def release(self) -> None:
        """Nothing was spent; once."""
        ...


class Budget(Protocol):
    """Says no before a call, never after."""

    async def reserve(self, purpose: Purpose, model: str, nano_usd: int) -> Reservation:
        """Set aside the most that a call can cost; CapReachedError when a cap forbids it."""
        ...


class CapReachedError(GeneratorError):
    """A cap on money is reached. `cap` says which: job, user, plan or day."""

    code = "cost_cap_reached"

    def __init__(self, reason: str, cap: str) -> None:
        super().__init__(reason)
        self.cap = cap


@dataclass(slots=True)
class Purse:
    """A budget in memory with one cap: for the command line, for tests, for a demo."""

    cap_nano_usd: int
    spent: list[Spent] = field(default_factory=list)
    reserved: int = 0

    async def reserve(self, purpose: Purpose, model: str, nano_usd: int) -> "PurseReservation":
        """Set aside; CapReachedError past the cap."""
        used = sum(one.nano_usd for one in self.spent)
        if used + self.reserved + nano_usd > self.cap_nano_usd:
            reason = f"The next call ({purpose}, {model}) could cost more than the job may."
            raise CapReachedError(reason, "job")
        self.reserved += nano_usd
        return PurseReservation(self, nano_usd)


@dataclass(slots=True)
class PurseReservation:
    """An amount set aside in a purse."""

    purse: Purse
    nano_usd: int

    async def settle(self, spent: Spent) -> None:
        """What it really was."""
        self.purse.reserved -= self.nano_usd
        self.purse.spent.append(spent)

    async def release(self) -> None:
        """Nothing was spent."""
        self.purse.reserved -= self.nano_usd

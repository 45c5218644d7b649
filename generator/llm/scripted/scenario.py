"""Scenarios as data: which request gets which replies, in which order."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from generator.llm.scripted.asked import Asked

FOLDER = "scenarios"


class Closed(BaseModel):
    """A scenario with a typing error is refused, not half understood."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Use(Closed):
    """One use of a tool."""

    name: str
    input: Any = Field(default_factory=dict)
    id: str = ""


class Fault(Closed):
    """What goes wrong after so many events of the stream; 0 is before the answer's head."""

    kind: Literal["hang", "drop", "malformed", "error"]
    after: int = 0
    error: str = "overloaded_error"  # what an `error` event tells of


class Reply(Closed):
    """One answer. With `status` it is an error, without it a message."""

    text: str = ""
    form: Any = None  # said as JSON; fenced, in prose, where no form can be enforced
    uses: tuple[Use, ...] = ()
    uses_as_text: bool = False  # as small local models write them
    thinking: str = ""
    stop: str = ""  # "" is told by what is said
    category: str = ""  # of a refusal
    usage: dict[str, Any] = Field(default_factory=dict)  # over what is counted
    pieces: int = Field(default=16, ge=1)  # characters an event
    status: int = 0
    error: str = ""
    message: str = ""
    headers: dict[str, str] = Field(default_factory=dict)
    fault: Fault | None = None


class When(Closed):
    """Which requests a rule is for; what is left out fits every request."""

    form: str | None = None  # title of the form; "" for none
    tool: str | None = None  # one of the tools offered; "" for none
    model: str | None = None
    contains: str = ""  # in the last turn
    counting: bool = False

    def fits(self, asked: Asked) -> bool:
        """Whether this request is meant."""
        return (
            self.counting == asked.path.endswith("count_tokens")
            and self.form in {None, asked.form}
            and (self.tool is None or self.tool in (asked.tools or ("",)))
            and self.model in {None, asked.model}
            and self.contains in asked.last
        )


class Rule(Closed):
    """Replies to requests that fit, one after the other; then the next rule has its turn."""

    when: When = When()
    replies: tuple[Reply, ...] = Field(min_length=1)
    forever: bool = False  # the last reply is said again and again


class Script(Closed):
    """A scenario's file."""

    note: str = ""
    rules: tuple[Rule, ...]


Answering = Callable[[Asked], Reply | None]


@dataclass(slots=True)
class Scenario:
    """A script being played: it remembers what it has said."""

    script: Script
    said: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, *rules: Mapping[str, Any]) -> Self:
        """From rules as they stand in a file."""
        return cls(Script.model_validate({"rules": rules}))

    @classmethod
    def saying(cls, *replies: Mapping[str, Any]) -> Self:
        """These replies in this order, whatever is asked."""
        return cls.of({"replies": list(replies)})

    @classmethod
    def load(cls, name: str) -> Self:
        """From a file, or from one of the scenarios that are shipped, by name."""
        shipped = files("generator.llm").joinpath(FOLDER, f"{name}.json")
        text = shipped.read_text() if name in names() else Path(name).read_text()
        return cls(Script.model_validate(json.loads(text)))

    def __call__(self, asked: Asked) -> Reply | None:
        """The reply to this request, or None when the script has none."""
        for number, rule in enumerate(self.script.rules):
            said = self.said.get(number, 0)
            if rule.when.fits(asked) and (said < len(rule.replies) or rule.forever):
                self.said[number] = said + 1
                return rule.replies[min(said, len(rule.replies) - 1)]
        return None


def names() -> Sequence[str]:
    """The scenarios that are shipped."""
    folder = files("generator.llm").joinpath(FOLDER)
    return sorted(each.name.removesuffix(".json") for each in folder.iterdir())

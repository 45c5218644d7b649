"""A small API in all the states that the scenarios need: its draft, its code, and what is wrong."""

from typing import Any

from generator.draft import ContractDraft
from tests.support.gate_contracts import example, operation, parameter, whole

_COUNTED = {
    "type": "object",
    "properties": {"words": {"type": "integer"}, "characters": {"type": "integer"}},
    "required": ["words", "characters"],
}
_FACT = {
    "type": "object",
    "properties": {"number": {"type": "integer"}, "fact": {"type": "string"}},
    "required": ["number", "fact"],
}
_SAID = {"type": "object", "properties": {"said": {"type": "string"}}, "required": ["said"]}
_TEXT = {
    "type": "object",
    "properties": {"text": {"type": "string", "minLength": 1, "maxLength": 10_000}},
    "required": ["text"],
}
_SHORT = {"type": "string", "minLength": 1, "maxLength": 100}


def draft(**more: Any) -> dict[str, Any]:
    """The contract as a model drafts it."""
    count = operation(
        "count_words", "POST", "/count",
        example("counts two words", "/count", body={"text": "one two"},
                response={"words": 2, "characters": 7}),
        example("counts one word", "/count", body={"text": "a"},
                response={"words": 1, "characters": 1}),
        example("refuses no text", "/count", 422, body={"text": ""}),
        body=_TEXT, response=_COUNTED,
    )  # fmt: skip
    repeat = operation(
        "repeat_text", "GET", "/repeat",
        example("says it twice", "/repeat", query={"text": "hey", "times": "2"},
                response={"said": "HEYHEY"}),
        example("says it three times", "/repeat", query={"text": "ho", "times": "3"},
                response={"said": "HOHOHO"}),
        parameters=[
            parameter("text", "query", _SHORT, True),
            parameter("times", "query", {"type": "integer", "minimum": 1, "maximum": 10}),
        ],
        response=_SAID,
    )  # fmt: skip
    fact = operation(
        "read_fact", "GET", "/facts/{number}",
        example("reads the first", "/facts/1", response={"number": 1}),
        example("has no ninth", "/facts/9", 404),
        parameters=[
            parameter("number", "path", {"type": "integer", "minimum": 1, "maximum": 1000}, True)
        ],
        response=_FACT,
        errors=[{"status": 404, "when": "there is no fact with this number"}],
    )  # fmt: skip
    return whole(count, repeat, fact, title="Words", summary="Counts and repeats words.", **more)


DRAFT = draft()
FORM = ContractDraft.model_validate(DRAFT)

GOOD = """from typing import Annotated

from fastapi import HTTPException, Path, Query
from pydantic import BaseModel, Field

FACTS = ("Honey does not spoil.", "Bees see ultraviolet.", "Ants take short naps.")


class Text(BaseModel):
    text: str = Field(min_length=1, max_length=10_000)


class Counted(BaseModel):
    words: int
    characters: int


class Said(BaseModel):
    said: str


class Fact(BaseModel):
    number: int
    fact: str


@router.post("/count")
async def count_words(given: Text) -> Counted:
    return Counted(words=len(given.text.split()), characters=len(given.text))


@router.get("/repeat")
async def repeat_text(
    text: Annotated[str, Query(min_length=1, max_length=100)],
    times: Annotated[int, Query(ge=1, le=10)] = 2,
) -> Said:
    return Said(said=(text * times).upper())


@router.get("/facts/{number}")
async def read_fact(number: Annotated[int, Path(ge=1, le=1000)]) -> Fact:
    if number > len(FACTS):
        raise HTTPException(404, "There is no fact with this number.")
    return Fact(number=number, fact=FACTS[number - 1])
"""

# Each fault: what stands in good code, and what stands there instead.
Change = tuple[str, str]
_COUNT = "    return Counted(words=len(given.text.split()), characters=len(given.text))\n"
_FACT_ROUTE = '@router.get("/facts/{number}")'
_FIRST = "from typing import Annotated\n"

NO_CHECK: Change = (
    "    if number > len(FACTS):\n"
    '        raise HTTPException(404, "There is no fact with this number.")\n',
    "",
)  # 500 from an IndexError
WRONG_COUNT: Change = ("len(given.text.split())", "len(given.text.split()) + 1")
WRONG_STATUS: Change = ('@router.post("/count")', '@router.post("/count", status_code=201)')
WRONG_PATH: Change = (_FACT_ROUTE, '@router.get("/fact/{number}")')
NO_TIMES: Change = ("Query(ge=1, le=10)] = 2", "Query()] = 2")
DIVIDES: Change = (
    _COUNT,
    "    share = 1 / (len(given.text) - 3)\n"
    "    characters = len(given.text) + 0 * int(share)\n"
    "    return Counted(words=len(given.text.split()), characters=characters)\n",
)
SYNTAX: Change = ("async def read_fact(number:", "async def read_fact(number")
SUBPROCESS: tuple[Change, ...] = (
    (_FIRST, "import subprocess\nfrom typing import Annotated\n"),
    (_COUNT, '    subprocess.run(["id"])\n' + _COUNT),
)
ENVIRONMENT: Change = (
    '        raise HTTPException(404, "There is no fact with this number.")\n',
    "        import os\n\n        raise HTTPException(404, str(dict(os.environ)))\n",
)
KEY = "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc"
CREDENTIAL: Change = ("FACTS = (", f'API_KEY = "{KEY}"\nFACTS = (')
UNUSED: Change = (_FIRST, "import math\nfrom typing import Annotated\n")
OWN_APP: Change = (
    "\n\nclass Text(",
    "\n\napp = fastapi.FastAPI()\n\n\nclass Text(",
)
MARKS: Change = (
    "\n\nclass Text(",
    f"\n\n# {'-' * 30} end of body {'-' * 30}\napp.include_router(router)\n\n\nclass Text(",
)
HARD_CODED: Change = (
    "    return Said(said=(text * times).upper())\n",
    '    known = {"hey": "HEYHEY", "ho": "HOHOHO"}\n    return Said(said=known.get(text, ""))\n',
)
EXTRA_ROUTE: Change = (
    _FACT_ROUTE,
    '@router.get("/debug")\nasync def debug() -> dict[str, int]:\n    return {"a": 1}\n\n\n'
    + _FACT_ROUTE,
)
SPINS_AT_START: Change = ("\n\nclass Text(", "\n\nwhile True:\n    pass\n\n\nclass Text(")
EATS_AT_START: Change = (
    "\n\nclass Text(",
    "\n\nSIZE = 50_000_000\nEATEN = [b'1' * SIZE for _ in range(100)]\n\n\nclass Text(",
)
SPINS_IN_A_CALL: Change = (
    "    return Said(said=(text * times).upper())\n",
    "    number = 1\n    while number:\n        number += 1\n"
    "    return Said(said=(text * times).upper())\n",
)
RAISES_AT_START: Change = ("\n\nclass Text(", '\n\nraise RuntimeError("no")\n\n\nclass Text(')
NO_BOUND: Change = ("min_length=1, max_length=10_000)", "min_length=1)")


def before_text(line: str) -> Change:
    """A line of its own ahead of the first model."""
    return "\n\nclass Text(", f"\n\n{line}\n\n\nclass Text("


def with_(*changes: Change, body: str = GOOD) -> str:
    """The good body with these faults."""
    for good, bad in changes:
        assert body.count(good) == 1, good
        body = body.replace(good, bad)
    return body


def undo(*changes: Change) -> tuple[Change, ...]:
    """The edits that mend them."""
    return tuple((bad, good) for good, bad in changes)

"""Guards of routes: what a repair may not take away, and what it may move."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.invariants import RULES, compare
from generator.types import Finding, Gate, Severity
from tests.support.bodies import BAD, GOOD
from tests.support.contracts import BODY

GUARDED = """
import asyncio
import html

from fastapi import Depends, HTTPException, Query
from pydantic import BaseModel, ConfigDict, EmailStr, Field, field_validator

KINDS = {"a", "b"}


class Item(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=50)
    mail: EmailStr

    @field_validator("name")
    @classmethod
    def known(cls, value: str) -> str:
        return value.strip()


def caller(token: str) -> str:
    if len(token) > 10:
        raise HTTPException(401, "no")
    return token


@router.post("/items")
async def add(item: Item, who: str = Depends(caller), page: int = Query(1, ge=1)) -> str:
    if item.name not in KINDS:
        raise HTTPException(status_code=400, detail="no")
    try:
        async with asyncio.timeout(2):
            database.execute("insert ?", (item.name,))
    except TimeoutError:
        raise HTTPException(503) from None
    return html.escape(item.name[:20])
"""


def rules(findings: tuple[Finding, ...]) -> set[str]:
    return {finding.rule for finding in findings}


def without(*changes: tuple[str, str]) -> str:
    body = GUARDED
    for old, new in changes:
        assert old in body
        body = body.replace(old, new)
    return body


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ('    @field_validator("name")\n', "", "validator_dropped"),
        (", max_length=50", "", "bound_dropped"),
        ("EmailStr\n\n", "str\n\n", "bound_dropped"),
        ('extra="forbid"', 'extra="allow"', "bound_dropped"),
        ("Query(1, ge=1)", "1", "bound_dropped"),
        ("Depends(caller)", '""', "dependency_dropped"),
        ("len(token) > 10", "token", "limit_dropped"),
        ("[:20]", "", "limit_dropped"),
        ("except TimeoutError:\n        raise HTTPException(503) from None",
         "finally:\n        pass", "handler_dropped"),
        ("html.escape(item.name[:20])", "item.name[:20]", "escape_dropped"),
        ('"insert ?", (item.name,)', 'f"insert {item.name}"', "parameters_dropped"),
        ("item.name not in KINDS", "False", "allow_list_dropped"),
        ('raise HTTPException(status_code=400, detail="no")', "pass", "refusal_dropped"),
        ('if item.name not in KINDS:\n', 'if False:\n', "refusal_dropped"),
        ("HTTPException(503)", "HTTPException(200)", "refusal_dropped"),
        ("asyncio.timeout(2)", "nothing()", "timeout_dropped"),
    ],
)  # fmt: skip
def test_a_guard_that_is_gone_is_named(old: str, new: str, rule: str) -> None:
    findings = compare(GUARDED, without((old, new)))
    (finding,) = [one for one in findings if one.rule == rule]
    assert (finding.gate, finding.severity) == (Gate.INVARIANTS, Severity.ERROR)
    assert finding.message.startswith("POST /items had ")


def test_every_kind_of_guard_is_looked_for() -> None:
    assert rules(compare(GUARDED, '@router.post("/items")\nasync def add() -> str: ...')) == set(
        RULES
    )


@pytest.mark.parametrize(
    "changes",
    [
        [("class Item(", "class Thing("), ("item: Item", "item: Thing")],
        [("async def add(", "async def create(")],
        [("def caller(", "def who_is("), ("Depends(caller)", "Depends(who_is)")],
        [('raise HTTPException(status_code=400, detail="no")', "refuse()"),
         ("\n\n@router", "\n\ndef refuse() -> None:\n    raise HTTPException(400)\n\n\n@router")],
        [("page: int = Query(1, ge=1)", "page: Page = 1"),
         ("\n\n@router", "\n\nPage = Annotated[int, Query(ge=1)]\n\n\n@router")],
        [("except TimeoutError", "except (TimeoutError, OSError)")],
        [("import asyncio\nimport html\n", "import html\nfrom asyncio import timeout\n"),
         ("asyncio.timeout", "timeout")],
        [("HTTPException(503)", "HTTPException(status_code=503, detail='later')")],
    ],
)  # fmt: skip
def test_what_is_renamed_or_moved_is_not_gone(changes: list[tuple[str, str]]) -> None:
    assert compare(GUARDED, without(*changes)) == ()


def test_a_dependency_changed_for_one_that_refuses_nobody_is_seen() -> None:
    findings = compare(GUARDED, without(("Depends(caller)", "Depends(str)")))
    assert rules(findings) == {"refusal_dropped", "limit_dropped"}


def test_a_route_that_is_gone_is_for_the_static_gate() -> None:
    assert compare(GUARDED, BODY) == ()


def test_two_refusals_made_one_are_a_warning() -> None:
    route = '@router.get("/x")\nasync def x(a: int) -> int:\n'
    refuse = "    if a:\n        raise HTTPException(404)\n"
    (finding,) = compare(route + refuse * 2, route + refuse)
    assert (finding.rule, finding.severity) == ("refusal_dropped", Severity.WARNING)


BODIES = st.sampled_from([GUARDED, BODY, *GOOD, *(bad.text[:2_000] for bad in BAD)])


@given(BODIES, st.text(max_size=20))
def test_nothing_is_lost_between_a_body_and_itself(body: str, text: str) -> None:
    assert compare(body, body) == ()
    assert compare(body + text, body + text) == ()


@given(BODIES, BODIES)
def test_no_two_bodies_raise(before: str, after: str) -> None:
    compare(before, after)


@pytest.mark.parametrize(
    "body",
    [
        "def a():\n    b()\n    b()\n\ndef b():\n    a()\n    a()\n",
        "".join(f"def f{n}():\n    f{n + 1}()\n    f{n + 1}()\n" for n in range(100)),
        "".join(f"x{n} = x{n + 1}, x{n + 1}\n" for n in range(500)),
    ],
    ids=["mutual", "doubling", "chain"],
)
def test_helpers_that_call_each_other_end(body: str) -> None:
    route = f'@router.get("/x")\ndef route():\n    return {body.split("(")[0][4:] or "x0"}\n'
    assert compare(f"{body}\n{route}", f"{body}\n{route}") == ()

"""The sandbox gate over code of the tests: what is good passes, what is not is found."""

import pytest

from generator.contract import Contract
from generator.rehearse import cases, rehearse
from generator.types import Finding, TestReport
from tests.support.gate_contracts import contract
from tests.support.trusted_stage import TrustedStage

HEAD = """import itertools
import json
from fastapi import FastAPI, HTTPException, Query
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, Field


class Plain(JSONResponse):
    def render(self, content):
        return json.dumps(content).encode("ascii")


app = FastAPI(default_response_class=Plain)


@app.exception_handler(RequestValidationError)
async def invalid(request, error):
    return Plain({"detail": "invalid"}, 422)
"""
GOOD = f"""{HEAD}
numbers = itertools.count(1)
kept = {{}}


class New(BaseModel):
    text: str = Field(min_length=1, max_length=200)


class Note(BaseModel):
    id: str
    text: str
    size: int


class Said(BaseModel):
    said: str


@app.post("/notes", status_code=201, response_model=Note)
async def add_note(new: New):
    note = Note(id=str(next(numbers)), text=new.text, size=len(new.text))
    kept[note.id] = note
    return Plain(note.model_dump(), 201)


@app.get("/notes/{{note_id}}")
async def read_note(note_id: str) -> Note:
    if note_id not in kept:
        raise HTTPException(404)
    return kept[note_id]


@app.get("/shout", response_model=Said)
async def shout(text: str = Query(max_length=100), times: int = Query(1, ge=1, le=10)):
    return Plain({{"said": text.upper() * times}})
"""
OFFSET = HEAD.count("\n")
SAID = '    return Plain({"said": text.upper() * times})'
NOT_FOUND = "raise HTTPException(404)"
READ = "async def read_note(note_id: str) -> Note:"
SHOUT = '@app.get("/shout", '
BAD = {
    "another answer": ("size=len(new.text)", "size=len(new.text) + 1", "example_failed", "got 5"),
    "an error": ("* times}", "* times + 'a' * (0 // (times - 3))}", "server_error", "answers 500"),
    "always the same": (
        SAID,
        "    return Plain({'said': 'HEYHEY' if text == 'hey' else 'YOU'})",
        "answers_are_hard_coded",
        "answers the same",
    ),
    "another path": (SHOUT, '@app.get("/shouts", ', "operation_missing", "There is no GET /shout."),
    "optional": ("Query(max_length=100)", "'a'", "bad_input_accepted", "without text"),
    "secrets": (READ, f"{READ}\n    print('sandgate-canary-5f2b8c')", "secret_in_log", "log"),
    "too much": (NOT_FOUND, "return HTMLResponse('a' * 2_000_000)", "answer_too_large", "more"),
}

Tried = tuple[tuple[Finding, ...], TestReport]


async def tried(code: str, wanted: Contract | None = None) -> Tried:
    """The gate over this code."""
    return await rehearse(TrustedStage(), wanted or contract(), code, OFFSET)


def rules(findings: tuple[Finding, ...]) -> set[str]:
    """Names of the findings that stop."""
    return {one.rule for one in findings if one.stops}


async def test_good_code_passes_everything() -> None:
    findings, report = await tried(GOOD)
    assert findings == ()
    examples, abuses = cases(contract())
    kinds = [case.kind for case in report.cases]
    assert (kinds.count("example"), kinds.count("abuse")) == (examples, abuses)
    assert report.passed == len(report.cases) > 100


@pytest.mark.parametrize("name", BAD)
async def test_bad_code_is_found(name: str) -> None:
    old, new, rule, text = BAD[name]
    assert GOOD.count(old) == 1
    findings, _ = await tried(GOOD.replace(old, new))
    found = [one for one in findings if one.rule == rule]
    assert found, findings
    assert any(text in one.message for one in found)
    assert all(one.stops for one in found)


async def test_code_that_knows_the_examples_only_is_found() -> None:
    table = "    table = {'hey': 'HEYHEY', 'you': 'YOU'}\n    return {'said': table.get(text, '?')}"
    findings, _ = await tried(GOOD.replace(SAID, table))
    assert [(one.rule, one.stops) for one in findings] == [("answers_are_hard_coded", True)]


async def test_a_table_that_refuses_what_it_does_not_have_is_no_cheat() -> None:
    table = "    table = {'hey': 'HEYHEY', 'you': 'YOU'}\n    if text not in table:\n"
    code = f"{table}        raise HTTPException(422)\n    return {{'said': table[text]}}"
    assert "answers_are_hard_coded" not in rules((await tried(GOOD.replace(SAID, code)))[0])


async def test_an_error_says_its_line_and_shows_the_log() -> None:
    code = GOOD.replace("return kept[note_id]", "return kept[1]")
    findings, _ = await tried(code)
    one = next(one for one in findings if one.operation == "read_note")
    assert one.line is not None
    assert code.split("\n")[OFFSET + one.line - 1].strip() == "return kept[1]"
    assert "KeyError: 1" in one.detail


async def test_code_that_hangs_ends_the_rehearsal_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("generator.rehearsal.SECONDS", 0.3)
    findings, _ = await tried(GOOD.replace(NOT_FOUND, "import time; time.sleep(60)"))
    assert rules(findings) >= {"hangs", "rehearsal_cut_short"}


async def test_code_that_ends_itself_ends_the_rehearsal_early() -> None:
    findings, _ = await tried(GOOD.replace(NOT_FOUND, "import os; os._exit(1)"))
    assert rules(findings) >= {"connection_closed", "rehearsal_cut_short"}


async def test_code_that_does_not_start_is_one_finding() -> None:
    findings, report = await tried(f"{HEAD}\nraise ValueError('no \x1b[31mway')\n")
    assert [one.rule for one in findings] == ["start_exception"]
    assert "ValueError: no [31mway" in findings[0].detail
    assert report.cases == ()


async def test_findings_are_bounded_and_plain() -> None:
    code = GOOD.replace(NOT_FOUND, "raise HTTPException(500, '\\u202e\\x07' * 90000)")
    findings, _ = await tried(code)
    assert 0 < len(findings) <= 40
    for one in findings:
        text = one.message + one.detail
        assert len(text) < 6000
        assert not set(text) & {"\x07", "\u202e", "\x1b"}

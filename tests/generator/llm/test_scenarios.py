"""Scenarios: which rule answers, what is shipped, and the demo that answers everything."""

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from pydantic import BaseModel, ValidationError

from generator.contract import Contract
from generator.llm.base import (
    CutOffError,
    ModelError,
    ModelMisconfiguredError,
    ModelUnavailableError,
    RefusedError,
    UnusableAnswerError,
)
from generator.llm.capabilities import Provider
from generator.llm.scripted import Scenario
from generator.llm.scripted.__main__ import main, parser
from generator.llm.scripted.demo import Demo, request_of
from generator.llm.scripted.scenario import names
from generator.llm.settings import Patience
from tests.support.models import WRITE, Verdict, asking, prompt

OUTCOMES: dict[str, type[ModelError] | None] = {
    "broken": ModelUnavailableError,
    "cut-off": CutOffError,
    "dropping": ModelUnavailableError,
    "failing-late": ModelUnavailableError,
    "limited": None,
    "malformed": ModelUnavailableError,
    "no-credit": ModelMisconfiguredError,
    "no-key": ModelMisconfiguredError,
    "no-model": ModelMisconfiguredError,
    "overloaded": ModelUnavailableError,
    "polite": None,
    "prose-only": None,
    "refusing": RefusedError,
    "silent": ModelUnavailableError,
    "stalling": ModelUnavailableError,
    "window-full": CutOffError,
    "wrong-tool": None,
}
ROOT = Path(__file__).parents[3]
QUICK = Patience(first_byte=0.1, silence=0.1, tries=3)


def test_every_shipped_scenario_has_an_outcome_here() -> None:
    assert list(names()) == sorted(OUTCOMES)


@pytest.mark.parametrize("name", sorted(OUTCOMES))
async def test_a_shipped_scenario_ends_as_it_says(name: str) -> None:
    expected = OUTCOMES[name]
    async with asking(Scenario.load(name), patience=QUICK) as it:
        if expected is None:
            assert (await it.model.converse(prompt())).stop in {"end_turn", "tool_use"}
        else:
            with pytest.raises(expected):
                await it.model.converse(prompt())
    assert it.purse.reserved == 0


async def test_prose_is_no_form() -> None:
    async with asking(Scenario.load("prose-only")) as it:
        with pytest.raises(UnusableAnswerError):
            await it.model.fill(prompt(), Verdict)


async def test_rules_answer_by_what_is_asked_and_in_their_order() -> None:
    scenario = Scenario.of(
        {"when": {"form": "Verdict"}, "replies": [{"form": {"allowed": True, "reason": ""}}]},
        {"when": {"contains": "twice"}, "replies": [{"text": "1"}, {"text": "2"}]},
        {"when": {"counting": False}, "replies": [{"text": "else"}], "forever": True},
    )
    async with asking(scenario) as it:
        said = [(await it.model.converse(prompt(text))).text for text in ("x", *["twice"] * 3)]
        filled = await it.model.fill(prompt(), Verdict)
    assert said == ["else", "1", "2", "else"]
    assert filled.allowed


def test_a_scenario_with_a_typing_error_is_refused() -> None:
    with pytest.raises(ValidationError):
        Scenario.of({"replies": [{"txt": "Hi"}]})


@dataclass(frozen=True)
class Stored:
    title: str
    contract: Contract
    body: str


def stored(title: str) -> Stored:
    operation = {
        "id": "get_it",
        "method": "GET",
        "path": "/it",
        "summary": "It.",
        "response": {"type": "object"},
        "examples": [{"name": "one", "path": "/it", "status": 200, "query": {"a": "b"}}],
    }
    contract = {"title": title, "summary": "s", "operations": [operation]}
    return Stored(title, Contract.model_validate(contract), f"# {title}\n")


class Shelf:
    def find(self, text: str) -> Stored | None:
        return stored("Quotes") if "quote" in text else None

    def all_templates(self) -> list[Stored]:
        return [stored("Facts"), stored("Quotes")]


class PairForm(BaseModel):
    name: str
    value: str


class ExampleForm(BaseModel):
    name: str
    query: list[PairForm]
    body_text: str


class OperationForm(BaseModel):
    id: str
    response_schema_text: str
    body_schema_text: str
    examples: list[ExampleForm]


class ContractForm(BaseModel):
    title: str
    operations: list[OperationForm]
    storage: str
    assumptions: list[str]


@pytest.mark.parametrize("speaks", ["scripted", "compatible"])
async def test_the_demo_answers_a_description_with_a_template(speaks: Provider) -> None:
    asked = '<data name="request">{"request": "a quote a day"}</data>'
    async with asking(Demo(Shelf()), speaks=speaks) as it:
        verdict = await it.model.fill(replace(prompt(asked), purpose="screen"), Verdict)
        form = await it.model.fill(prompt(asked), ContractForm)
        answer = await it.model.converse(prompt(asked, tools=(WRITE,)))
    assert verdict.allowed
    assert (form.title, form.storage) == ("Quotes", "none")
    assert json.loads(form.operations[0].response_schema_text) == {"type": "object"}
    assert form.operations[0].body_schema_text == ""
    assert form.operations[0].examples[0].query == [PairForm(name="a", value="b")]
    assert "nearest" in form.assumptions[-1]
    assert answer.uses[0].input == {"body": "# Quotes\n"}


async def test_the_demo_takes_the_same_template_for_the_same_strange_wish() -> None:
    async with asking(Demo(Shelf())) as it:
        bodies = [
            (await it.model.converse(prompt("zebra", tools=(WRITE,)))).uses[0].input
            for _ in range(2)
        ]
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize("said", ["", "{", '<data name="request">{no</data>', '["a"]'])
def test_any_turn_is_a_description(said: str) -> None:
    assert request_of(said) == said


def test_the_command_explains_itself() -> None:
    shown = parser().format_help()
    assert "--scenario FILE|NAME" in shown
    assert "overloaded" in shown


@pytest.mark.parametrize("text", ["", "{", "[]", '{"rules": [{"replies": [{"txt": "Hi"}]}]}'])
def test_a_file_that_is_no_scenario_is_said_in_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.json"
    file.write_text(text)
    with pytest.raises(SystemExit, match="scenario ") as ended:
        main(["--scenario", str(file), "--port", "0"])
    assert "\n" not in str(ended.value)


def test_a_scenario_that_does_not_exist_is_said() -> None:
    with pytest.raises(SystemExit, match="no-such-thing"):
        main(["--scenario", "no-such-thing"])


def test_the_command_serves_until_it_is_told_to_end() -> None:
    arguments = [sys.executable, "-m", "generator.llm.scripted", "--scenario=polite", "--port=0"]
    body = json.dumps({
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "May I?"}],
    })  # fmt: skip
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip().removeprefix("ANTHROPIC_BASE_URL=")
        answer = httpx.post(f"{address}/v1/messages", content=body, headers={"x-api-key": "k"})
        process.terminate()
        assert process.wait(30) == 0
    assert answer.json()["content"][0]["text"] == "Yes, of course."

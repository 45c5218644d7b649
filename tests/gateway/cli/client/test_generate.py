"""From words to a called API in the terminal."""

import shlex
from typing import Any

import pytest

from gateway.cli.client.events import parsed
from gateway.cli.client.failures import CommandError
from gateway.cli.client.generate import curl
from tests.support.client_command import Command
from tests.support.client_jobs import CONTRACT, GOOD
from tests.support.client_server import World

WAITS = ("waiting", "It waits.", {"status": "queued", "waiting_for": "approval"})
ASKS = (
    "waiting",
    "It asks.",
    {"status": "queued", "waiting_for": "answers", "questions": ["Which language?", "Sorted?"]},
)
FAILED = (
    "gave_up",
    "No progress.",
    {
        "status": "failed",
        "failure": {"code": "no_progress", "reason": "Three rounds brought nothing"},
        "findings": [{"message": "GET / answers \x1b[31m500"}],
    },
)


def test_the_api_is_called_with_the_line_that_is_printed_last(
    signed_in: Command, world: World
) -> None:
    result = signed_in("generate", "cat facts", "--name", "cats")
    assert result.exit_code == 0, result.output
    [api] = world.apis
    assert world.jobs.asked == [
        ("/api/generate", {"prompt": "cat facts", "approve": "auto", "name": "cats"})
    ]
    last = result.stdout.splitlines()[-1]
    assert last.startswith("Try it")
    words = shlex.split(last.removeprefix("Try it").strip())
    assert words[-1] == f"{api['endpoint_url']}/facts/cat's?n=1+2"
    assert "Authorization: Bearer sg_live_another" in words


def test_every_step_is_a_line_and_passing_ones_are_not(signed_in: Command, world: World) -> None:
    lines = signed_in("generate", "x").stderr
    for said in ("Started.", "One operation.", "The static gate passed.", "It answers."):
        assert said in lines
    assert " s  120 characters\n" not in lines


def test_as_json_nothing_else_is_printed(signed_in: Command, world: World) -> None:
    answer = signed_in.json("generate", "x", "--template", "cats")
    assert (answer["job_id"], answer["version"], answer["api_key"]) == ("j1", 1, "sg_live_another")
    assert world.jobs.asked[0][1]["template"] == "cats"


def test_a_broken_connection_goes_on_behind_the_last_event(
    signed_in: Command, world: World
) -> None:
    world.jobs.breaks_after = 2
    result = signed_in("generate", "x")
    assert result.exit_code == 0, result.output
    assert world.jobs.resumed == ["2"]
    assert result.stderr.count("One operation.\n") == 1


def test_a_failed_job_says_why_and_what_was_found(signed_in: Command, world: World) -> None:
    world.jobs.steps = (*GOOD[:2], FAILED)
    result = signed_in("generate", "x")
    assert result.exit_code == 1
    assert "Three rounds brought nothing" in result.stderr
    assert "GET / answers \N{REPLACEMENT CHARACTER}[31m500" in result.stderr
    assert world.keys == []


def test_a_failed_job_as_json_is_a_problem(signed_in: Command, world: World) -> None:
    world.jobs.steps = (*GOOD[:2], FAILED)
    problem = signed_in.json("generate", "x", code=1)
    assert (problem["code"], problem["job_id"]) == ("no_progress", "j1")


def test_the_contract_is_shown_and_accepted(signed_in: Command, world: World) -> None:
    world.jobs.steps = (*GOOD[:2], WAITS, *GOOD[2:])
    result = signed_in("generate", "x", "--ask", typed="y\n")
    assert result.exit_code == 0, result.output
    assert world.jobs.asked[0][1]["approve"] == "ask"
    assert "POST /facts/{kind}  A fact" in result.stderr
    assert "\x1b[31m" not in result.stderr
    assert world.jobs.answers == [{}]


def test_a_contract_that_is_refused_cancels_the_job(signed_in: Command, world: World) -> None:
    world.jobs.steps = (*GOOD[:2], WAITS, *GOOD[2:])
    result = signed_in("generate", "x", "--ask", typed="n\n")
    assert result.exit_code == 1
    assert world.jobs.cancelled
    assert world.keys == []


def test_questions_are_asked_and_their_answers_sent(signed_in: Command, world: World) -> None:
    world.jobs.steps = (GOOD[0], ASKS, *GOOD[1:])
    result = signed_in("generate", "x", typed="French\nno\n")
    assert result.exit_code == 0, result.output
    assert world.jobs.answers == [{"answers": {"Which language?": "French", "Sorted?": "no"}}]


@pytest.mark.parametrize("step", [WAITS, ASKS])
@pytest.mark.parametrize("more", [(), ("--json",)])
def test_where_nobody_can_be_asked_it_says_how_to_answer(
    signed_in: Command, world: World, step: Any, more: tuple[str, ...]
) -> None:
    world.jobs.steps = (GOOD[0], step, *GOOD[1:])
    result = signed_in("generate", "x", *more)
    assert result.exit_code == 2
    assert "/api/jobs/j1/approve" in result.output
    assert not world.jobs.cancelled


def test_an_edit_shows_what_would_change_and_is_accepted(signed_in: Command, world: World) -> None:
    world.make_api("cats")
    result = signed_in("edit", "cats", "say it in French", "--breaking", typed="y\n")
    assert result.exit_code == 0, result.output
    assert "This is a major change." in result.stdout
    assert "callers would miss: GET /facts is gone" in result.stdout
    assert "-a\n+b" in result.stdout
    assert world.jobs.decisions == [("accept", {"breaking": True})]


def test_an_edit_that_is_refused_is_rejected(signed_in: Command, world: World) -> None:
    world.make_api("cats")
    result = signed_in("edit", "cats", "x", typed="n\n")
    assert result.exit_code == 0, result.output
    assert world.jobs.decisions == [("reject", None)]


def test_an_edit_as_json_is_left_open(signed_in: Command, world: World) -> None:
    world.make_api("cats")
    assert signed_in.json("edit", "cats", "x")["decision"] == "open"
    assert world.jobs.decisions == []


def test_an_edit_is_accepted_without_asking(signed_in: Command, world: World) -> None:
    world.make_api("cats")
    assert signed_in.json("edit", "cats", "x", "--accept")["decision"] == "accepted"
    assert world.jobs.decisions == [("accept", {"breaking": False})]


def test_where_nobody_says_yes_an_edit_stays_open(signed_in: Command, world: World) -> None:
    world.make_api("cats")
    result = signed_in("edit", "cats", "x")
    assert result.exit_code == 2
    assert world.jobs.decisions == []


@pytest.mark.parametrize("contract", [None, {}, {"operations": []}, {"operations": [{}]}])
def test_without_an_example_the_root_is_called(contract: dict[str, Any] | None) -> None:
    assert shlex.split(curl("http://h/a", "k", contract))[-1] == "http://h/a"


def test_an_example_cannot_break_out_of_the_line() -> None:
    words = shlex.split(curl("http://h/a", "k", CONTRACT))
    assert words[words.index("--json") + 1] == '{"a": "ü"}'
    assert words[words.index("-X") + 1] == "POST"


def test_comments_and_unfinished_events_are_no_events() -> None:
    event = 'data: {"n": 1, "kind": "k", "text": "t", "data": null}'
    found = list(parsed([": hello", "id: 1", event, "", event]))
    assert [None if one is None else one.n for one in found] == [None, 1]


@pytest.mark.parametrize("data", ["{", "[]", "{}", '{"n": "x", "kind": 1, "text": 2}', "7"])
def test_an_event_that_cannot_be_read_says_so(data: str) -> None:
    with pytest.raises(CommandError):
        list(parsed([f"data: {data}", ""]))

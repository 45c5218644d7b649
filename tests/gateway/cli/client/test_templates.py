"""Listing templates and making an API from one."""

import shlex

from fastapi.responses import JSONResponse

from tests.support.client_command import Command
from tests.support.client_server import World, problem

TODO = {"slug": "todo-list", "title": "To-do list", "summary": "A list that stays."}


def test_templates_are_a_table_with_the_next_step(signed_in: Command, world: World) -> None:
    world.answer = JSONResponse({"items": [TODO]})
    lines = signed_in("templates").stdout.splitlines()
    assert lines[1].split() == ["todo-list", "A", "list", "that", "stays."]
    assert "sandgate create --template" in lines[-1]


def test_nothing_found_is_said(signed_in: Command, world: World) -> None:
    world.answer = JSONResponse({"items": []})
    assert "lists all" in signed_in("templates", "chess & more").stdout
    assert world.requests[-1] == ("GET", "/api/templates")


def test_an_api_is_made_from_a_template(signed_in: Command, world: World) -> None:
    answer = signed_in.json("create", "--template", "todo-list", "--name", "Chores")
    assert world.bodies == [{"name": "Chores", "template": "todo-list"}]
    words = shlex.split(answer["curl"])
    assert words[-1] == f"{answer['endpoint_url']}/facts/cat's?n=1+2"
    assert f"Authorization: Bearer {answer['api_key']}" in words


def test_without_a_name_it_has_the_templates(signed_in: Command, world: World) -> None:
    signed_in("create", "--template", "todo-list")
    assert world.bodies == [{"name": "To-do list", "template": "todo-list"}]


def test_without_a_template_the_next_step_is_said(signed_in: Command) -> None:
    result = signed_in("create")
    assert result.exit_code != 0
    assert "sandgate templates" in result.stderr


def test_a_template_that_is_not_there_is_a_problem(signed_in: Command, world: World) -> None:
    world.answer = problem(404, "template_not_found", "There is none.")
    result = signed_in("create", "--template", "nothing")
    assert result.exit_code != 0
    assert "There is none." in result.stderr

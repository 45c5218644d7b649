"""Commands that act on APIs, and what a refusing or strange server leads to."""

import json

import pytest
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from tests.support.client_command import Command
from tests.support.client_server import World, problem


def test_apis_are_listed_one_a_line(signed_in: Command, world: World) -> None:
    api = world.make_api("cats")
    result = signed_in("apis")
    assert result.stdout.splitlines()[1].split() == ["cats", "active", "cats-x1", api["id"]]
    assert signed_in.json("apis") == {"items": [api]}


def test_no_apis_say_how_to_make_one(signed_in: Command) -> None:
    assert "sandgate deploy" in signed_in("apis").stdout
    assert signed_in.json("apis") == {"items": []}


def test_a_long_list_is_read_to_its_end(signed_in: Command, world: World) -> None:
    for n in range(450):
        world.make_api(f"api{n}")
    assert len(signed_in.json("apis")["items"]) == 450


@pytest.mark.parametrize("member", ["id", "slug", "name"])
def test_pause_and_resume_by_id_slug_or_name(signed_in: Command, world: World, member: str) -> None:
    api = world.make_api("cats")
    assert signed_in("pause", api[member]).stdout == "cats is paused.\n"
    assert world.apis[0]["status"] == "paused"
    assert signed_in.json("resume", api[member])["status"] == "active"


def test_a_name_that_several_apis_have_asks_for_an_id(signed_in: Command, world: World) -> None:
    ids = [world.make_api("cats")["id"] for _ in range(2)]
    world.apis[0]["slug"], world.apis[1]["slug"] = "a", "b"
    result = signed_in("pause", "cats")
    assert result.exit_code == 2
    assert all(api_id in result.stderr for api_id in ids)


@pytest.mark.parametrize("wanted", ["nothing", "../admin", "5f0c1d52-8b0e-4c41-9d6c-0a0000000001"])
def test_an_unknown_api_is_refused_and_says_where_to_look(signed_in: Command, wanted: str) -> None:
    result = signed_in("pause", wanted)
    assert result.exit_code == 1
    assert "sandgate apis" in result.stderr
    document = signed_in.json("pause", wanted, code=1)
    assert (document["status"], document["code"]) == (404, "api_not_found")


def test_rollback_names_the_version_that_answers_now(signed_in: Command, world: World) -> None:
    world.make_api("cats")["version"] = 3
    assert signed_in("rollback", "cats").stdout == "cats is back on version 2.\n"
    assert signed_in.json("rollback", "cats")["version"] == 1
    result = signed_in("rollback", "cats")
    assert result.exit_code == 1
    assert "Deploy another version first." in result.stderr


def test_rm_asks_before_it_removes(signed_in: Command, world: World) -> None:
    world.make_api("cats")
    assert signed_in("rm", "cats", typed="n\n").exit_code == 2
    assert signed_in("rm", "cats", typed="").exit_code == 2
    assert len(world.apis) == 1
    assert signed_in("rm", "cats", typed="y\n").exit_code == 0
    assert world.apis == []


def test_rm_with_json_wants_yes(signed_in: Command, world: World) -> None:
    api = world.make_api("cats")
    assert signed_in.json("rm", "cats", code=2)["code"] == "usage"
    assert signed_in.json("rm", "cats", "--yes") == {"id": api["id"], "removed": True}
    assert world.apis == []


def test_logs_are_printed_without_the_terminal_codes_in_them(
    signed_in: Command, world: World
) -> None:
    world.make_api("cats")
    result = signed_in("logs", "cats")
    assert result.stdout.splitlines()[0] == "2027-01-15T08:00:00.250+00:00 stdout hello"
    assert "oops" in result.stdout
    assert not {"\x1b", "\x07"} & set(result.stdout)


def test_logs_can_be_cut_to_the_last_lines(signed_in: Command, world: World) -> None:
    world.make_api("cats")
    assert len(signed_in.json("logs", "cats", "--tail", "1")["items"]) == 1
    assert signed_in("logs", "cats", "--tail", "0").exit_code == 2


def test_a_key_is_made_listed_and_revoked(signed_in: Command, world: World) -> None:
    world.make_api("cats")
    made = signed_in.json("keys", "create", "cats", "--name", "phone")
    assert made["key"] == "sg_live_another"
    listed = signed_in("keys", "list", "cats").stdout
    assert "phone" in listed
    assert "sg_live_another" not in listed
    assert signed_in("keys", "revoke", made["id"]).exit_code == 0
    assert signed_in.json("keys", "list", "cats") == {"items": []}


def test_a_new_key_is_printed_with_the_warning_elsewhere(signed_in: Command, world: World) -> None:
    world.make_api("cats")
    result = signed_in("keys", "create", "cats")
    assert "sg_live_another" in result.stdout
    assert "only this once" in result.stderr


def test_a_key_id_cannot_reach_another_path(signed_in: Command, world: World) -> None:
    world.make_api("cats")
    result = signed_in("keys", "revoke", f"../apis/{world.apis[0]['id']}")
    assert result.exit_code == 1
    assert len(world.apis) == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (problem(403, "forbidden", "Only owners may."), "Only owners may. `sandgate whoami`"),
        (problem(500, "internal_error", "Internal error"), "Look for request r1 in the server"),
        (problem(422, "invalid_input", "Bad", errors=[{"field": "a", "detail": "b"}]), "(a: b)"),
        (PlainTextResponse("hello"), "does not answer like Sandgate"),
        (PlainTextResponse("<html>", 502), "does not answer like Sandgate"),
        (JSONResponse([1]), "does not answer like Sandgate"),
        (JSONResponse({"things": 1}), "does not answer like Sandgate"),
        (RedirectResponse("http://127.0.0.1:1/"), "does not answer like Sandgate"),
        (problem(418, "teapot", "a\nb\x1b[2J"), "a b"),
    ],
    ids=["403", "500", "422", "text", "html", "list", "shape", "redirect", "controls"],
)
def test_every_refusal_is_one_line_and_exit_code_1(
    signed_in: Command, world: World, answer: Response, said: str
) -> None:
    world.answer = answer
    result = signed_in("apis")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert "\x1b" not in result.stderr
    assert "detail" in signed_in.json("apis", code=1)


def test_a_busy_server_says_when_to_try_again(signed_in: Command, world: World) -> None:
    world.answer = problem(503, "unavailable", "Starting")
    world.answer.headers["Retry-After"] = "7"
    assert "Try again in 7 s." in signed_in("apis").stderr


def test_a_server_that_went_away_is_exit_code_4(signed_in: Command) -> None:
    stored = json.loads(signed_in.credentials.read_text())
    signed_in.credentials.write_text(json.dumps({**stored, "url": "http://127.0.0.1:1"}))
    assert signed_in("apis").exit_code == 4
    assert signed_in.json("apis", code=4)["code"] == "server_unreachable"

"""Profile and feedback from the command line."""

import json
from pathlib import Path

import pytest
from fastapi.responses import JSONResponse

from tests.support.client_command import Command
from tests.support.client_server import World, problem

PROFILE = {
    "id": "u",
    "email": "ada@example.com",
    "display_name": "Ada",
    "bio": "",
    "links": [{"label": "Page", "url": "https://ada.example"}],
    "is_public": False,
}
WRITTEN = {
    "id": "f",
    "type": "bug",
    "status": "answered",
    "title": "Slow",
    "text": "Very.",
    "answer": "Not\nany \x1b[31mmore.",
    "created_at": "2026-11-22T10:00:00+00:00",
}


def test_the_profile_is_shown(signed_in: Command, world: World) -> None:
    world.answer = JSONResponse(PROFILE)
    text = signed_in("profile").stdout
    assert "display name  Ada" in text
    assert "Page  https://ada.example" in text
    assert "seen by       nobody else" in text
    assert signed_in.json("profile") == PROFILE
    assert world.requests[-1] == ("GET", "/api/profile")


def test_only_what_is_given_is_changed(signed_in: Command, world: World) -> None:
    world.answer = JSONResponse(PROFILE)
    arguments = ("--bio", "", "--private", "--link", "Page=https://ada.example?a=b")
    assert signed_in("profile", *arguments).exit_code == 0
    assert world.requests[-1] == ("PATCH", "/api/profile")
    assert json.loads(world.sent[-1]) == {
        "bio": "",
        "is_public": False,
        "links": [{"label": "Page", "url": "https://ada.example?a=b"}],
    }


@pytest.mark.parametrize("link", ["https://ada.example", "=https://ada.example", "Page="])
def test_a_link_without_both_parts_is_not_sent(signed_in: Command, world: World, link: str) -> None:
    before = len(world.requests)
    assert signed_in("profile", "--link", link).exit_code == 2
    assert len(world.requests) == before


def test_feedback_is_sent(signed_in: Command, world: World) -> None:
    world.answer = JSONResponse(WRITTEN, 201)
    result = signed_in("feedback", "send", "Slow", "--type", "bug", "--text", "Very.")
    assert result.exit_code == 0
    assert world.requests[-1] == ("POST", "/api/feedback")
    assert json.loads(world.sent[-1]) == {"type": "bug", "title": "Slow", "text": "Very."}


def test_the_text_is_asked_for(signed_in: Command, world: World) -> None:
    world.answer = JSONResponse(WRITTEN, 201)
    assert signed_in("feedback", "send", "Slow", typed="Typed.\n").exit_code == 0
    assert json.loads(world.sent[-1]) == {"type": "other", "title": "Slow", "text": "Typed."}


def test_answers_are_listed_one_line_each(signed_in: Command, world: World) -> None:
    world.answer = JSONResponse({"items": [WRITTEN], "limit": 200, "offset": 0})
    lines = signed_in("feedback", "list").stdout.splitlines()
    assert lines[1].startswith("2026-11-22  bug")
    assert len(lines) == 2
    assert "\x1b" not in lines[1]
    assert signed_in.json("feedback", "list") == [WRITTEN]


def test_what_the_server_refuses_is_said(signed_in: Command, world: World) -> None:
    world.answer = problem(429, "too_much_feedback", "At most 10 in an hour")
    result = signed_in("feedback", "send", "Slow", "--text", "Very.")
    assert result.exit_code == 1
    assert "At most 10 in an hour" in result.output


@pytest.mark.parametrize("command", [("profile",), ("feedback", "list")])
def test_a_strange_server_is_said_to_be_one(
    signed_in: Command, world: World, command: tuple[str, ...]
) -> None:
    world.answer = JSONResponse({"items": [{"surprise": 1}]})
    assert signed_in(*command).exit_code == 1


class TestFiles:
    """What goes along with feedback, and what files take."""

    def test_files_go_along(self, signed_in: Command, world: World, tmp_path: Path) -> None:
        file = tmp_path / "a picture.png"
        file.write_bytes(b"\x89PNG")
        world.answer = JSONResponse(WRITTEN, 201)
        arguments = ("--text", "Very.", "--attach", str(file))
        assert signed_in("feedback", "send", "Slow", *arguments).exit_code == 0
        assert [path for _, path in world.requests[-2:]] == [
            "/api/feedback",
            "/api/feedback/f/attachments",
        ]
        assert world.sent[-1] == b"\x89PNG"

    def test_a_file_that_is_not_there_sends_nothing(self, signed_in: Command, world: World) -> None:
        before = len(world.requests)
        arguments = ("--text", "Very.", "--attach", "/nowhere.png")
        result = signed_in("feedback", "send", "Slow", *arguments)
        assert (result.exit_code, len(world.requests)) == (2, before)
        assert "/nowhere.png cannot be read" in result.output

    def test_files_are_listed_with_what_they_take(self, signed_in: Command, world: World) -> None:
        item = {"id": "u", "purpose": "attachment", "bytes": 9, "name": "a.png"}
        item["created_at"] = "2026-11-22T10:00:00+00:00"
        found = {"items": [item], "limit": 200, "offset": 0, "used_bytes": 9, "allowed_bytes": 99}
        world.answer = JSONResponse(found)
        lines = signed_in("uploads").stdout.splitlines()
        assert lines[1].split() == ["2026-11-22", "attachment", "9", "a.png", "u"]
        assert lines[2] == "9 of 99 bytes are used."
        assert signed_in.json("uploads", "--tenant", "u") == found

"""Call settings and price from the command line."""

import json
from pathlib import Path

import pytest
from fastapi.responses import JSONResponse

from tests.support.client_command import Command
from tests.support.client_server import World


@pytest.fixture
def api(world: World) -> str:
    made = world.make_api("cats")
    made |= {"call_settings": {"cache": False}, "price_nano_usd": 0}
    return str(made["name"])


def test_they_are_shown_as_json(signed_in: Command, world: World, api: str) -> None:
    shown = {"call_settings": {"cache": False}, "price_nano_usd": 0}
    assert json.loads(signed_in("settings", api).stdout) == shown
    assert signed_in.json("settings", api) == shown
    assert all(method != "PATCH" for method, _ in world.requests)


def test_a_file_replaces_them(signed_in: Command, world: World, api: str, tmp_path: Path) -> None:
    wanted = tmp_path / "settings.json"
    wanted.write_text('{"cache": true, "cors": {"origins": ["*"]}}')
    answer = signed_in.json("settings", api, "--file", str(wanted), "--price", "5000")
    assert answer["call_settings"] == {"cache": True, "cors": {"origins": ["*"]}}
    assert (answer["price_nano_usd"], world.apis[0]["price_nano_usd"]) == (5000, 5000)


def test_they_can_come_from_stdin(signed_in: Command, world: World, api: str) -> None:
    signed_in("settings", api, "--file", "-", typed="{}")
    assert (world.apis[0]["call_settings"], world.apis[0]["price_nano_usd"]) == ({}, 0)


@pytest.mark.parametrize("text", ["", "{", "[]", "5", '"x"'])
def test_what_is_no_object_is_not_sent(
    signed_in: Command, world: World, api: str, text: str
) -> None:
    result = signed_in("settings", api, "--file", "-", typed=text)
    assert (result.exit_code, "the settings are" in result.stderr) == (2, True)
    assert all(method != "PATCH" for method, _ in world.requests)


def test_a_strange_server_is_said_to_be_one(signed_in: Command, world: World, api: str) -> None:
    world.answer = JSONResponse({"id": world.apis[0]["id"], "surprise": 1})
    result = signed_in("settings", world.apis[0]["id"])
    assert (result.exit_code, "does not answer like Sandgate" in result.stderr) == (1, True)

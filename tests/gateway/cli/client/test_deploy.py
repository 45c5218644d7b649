"""Deploying a file."""

from pathlib import Path

import pytest

from tests.support.client_command import Command
from tests.support.client_server import World

CODE = "from fastapi import FastAPI\n\napp = FastAPI()\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cats.py"
    path.write_text(CODE)
    return path


def test_a_file_becomes_an_api_named_after_it(signed_in: Command, world: World, file: Path) -> None:
    answer = signed_in.json("deploy", str(file))
    assert world.bodies == [{"name": "cats", "code": CODE}]
    assert answer["api_key"] == "sg_live_secret"
    assert answer["endpoint_url"] == world.apis[0]["endpoint_url"]
    assert answer["curl"].endswith(answer["endpoint_url"])


def test_endpoint_key_and_curl_are_printed_unwrapped_at_the_end(
    signed_in: Command, world: World, file: Path
) -> None:
    result = signed_in("deploy", str(file), "--name", "Cats")
    endpoint = world.apis[0]["endpoint_url"]
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "Cats version 1 is active.",
        f"Endpoint  {endpoint}",
        "Key       sg_live_secret  (shown only this once)",
        f'Try it    curl -i -H "Authorization: Bearer sg_live_secret" {endpoint}',
    ]


def test_packages_are_shown_when_there_are_some(
    signed_in: Command, world: World, file: Path
) -> None:
    world.packages = ["anyio==4.4.0", "httpx==0.28.0"]
    shown = "Packages  anyio==4.4.0 httpx==0.28.0"
    assert shown in signed_in("deploy", str(file), "--name", "Cats").stdout.splitlines()
    assert shown in signed_in("deploy", str(file), "--api", "Cats").stdout.splitlines()
    assert signed_in.json("deploy", str(file), "--api", "Cats")["packages"] == world.packages


def test_name_and_description_are_sent(signed_in: Command, world: World, file: Path) -> None:
    signed_in("deploy", str(file), "--name", "Cats", "--description", "Facts")
    assert world.bodies == [{"name": "Cats", "code": CODE, "description": "Facts"}]


@pytest.mark.parametrize("member", ["id", "slug", "name"])
def test_a_new_version_of_an_api_by_id_slug_or_name(
    signed_in: Command, world: World, file: Path, member: str
) -> None:
    api = world.make_api("cats")
    answer = signed_in.json("deploy", str(file), "--api", api[member])
    assert world.bodies == [{"code": CODE, "deploy": True}]
    assert (answer["api_id"], answer["version"]) == (api["id"], 2)
    assert "$SANDGATE_KEY" in answer["curl"]


def test_name_and_api_exclude_each_other(signed_in: Command, world: World, file: Path) -> None:
    assert signed_in("deploy", str(file), "--api", "a", "--name", "b").exit_code == 2
    assert world.bodies == []


def test_code_that_does_not_start_shows_its_log_and_traceback_then_one_line(
    signed_in: Command, file: Path
) -> None:
    file.write_text("import nowhere\n")
    result = signed_in("deploy", str(file))
    assert result.exit_code == 1
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0] == "starting"
    assert lines[-1] == (
        "sandgate: app.py, line 1: No module named 'nowhere'. Correct it and try again."
    )
    assert "\x1b" not in result.stderr


def test_code_that_does_not_start_is_the_servers_problem_as_json(
    signed_in: Command, file: Path
) -> None:
    file.write_text("import nowhere\n")
    document = signed_in.json("deploy", str(file), code=1)
    assert (document["status"], document["code"]) == (422, "api_start_failed")
    assert document["failure"]["line"] == 1


def test_a_taken_name_says_how_to_go_on(signed_in: Command, world: World, file: Path) -> None:
    world.make_api("cats")
    result = signed_in("deploy", str(file))
    assert result.exit_code == 1
    assert "--api" in result.stderr


def test_a_file_that_is_not_there_is_wrong_use(signed_in: Command, tmp_path: Path) -> None:
    assert signed_in("deploy", str(tmp_path / "none.py")).exit_code == 2
    assert signed_in("deploy", str(tmp_path)).exit_code == 2


def test_a_file_that_is_not_utf8_is_wrong_use(signed_in: Command, world: World, file: Path) -> None:
    file.write_bytes(b"x = '\xff'\n")
    result = signed_in("deploy", str(file))
    assert result.exit_code == 2
    assert "UTF-8" in result.stderr
    assert world.bodies == []


def test_a_byte_order_mark_is_left_out_and_line_ends_are_kept(
    signed_in: Command, world: World, file: Path
) -> None:
    file.write_bytes(b"\xef\xbb\xbfx = 1\r\n")
    signed_in("deploy", str(file))
    assert world.bodies[0]["code"] == "x = 1\r\n"

"""Where an API may connect to and what runs of it, from the command line."""

import pytest
from fastapi.responses import JSONResponse

from tests.support.client_command import Command
from tests.support.client_server import World


@pytest.fixture
def api(world: World) -> str:
    return str(world.make_api("cats")["name"])


def test_nothing_is_allowed_at_first(signed_in: Command, world: World, api: str) -> None:
    assert signed_in("egress", api).stdout == "cats may connect to nothing.\n"
    assert signed_in.json("egress", api) == {"hosts": []}
    assert all(method != "PATCH" for method, _ in world.requests)


def test_allow_and_deny_in_one_go(signed_in: Command, world: World, api: str) -> None:
    signed_in("egress", api, "--allow", "a.example.com", "--allow", "*.example.org")
    result = signed_in("egress", api, "--deny", "A.example.com", "--allow", "b.example.com:5432")
    assert result.stdout == "*.example.org\nb.example.com:5432\n"
    assert world.apis[0]["egress"] == {"hosts": ["*.example.org", "b.example.com:5432"]}


def test_deny_of_what_is_not_on_the_list_changes_nothing(
    signed_in: Command, world: World, api: str
) -> None:
    result = signed_in("egress", api, "--allow", "a.example.com", "--deny", "b.example.com")
    assert (result.exit_code, "b.example.com is not on the list" in result.stderr) == (2, True)
    assert world.apis[0]["egress"] == {"hosts": []}


def test_sandboxes_are_listed_with_the_reason_of_their_end(signed_in: Command, api: str) -> None:
    result = signed_in("sandboxes", api)
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["STATUS", "VERSION", "TIER", "AGE", "MEMORY", "END", "REASON"]
    assert lines[1] == ["ready", "2", "runc", "12", "s", "40", "MB", "-", "-"]
    assert lines[2][:7] == ["ended", "1", "runc", "3", "s", "-", "memory"]
    assert "\x1b" not in result.stdout
    assert len(signed_in.json("sandboxes", api)["items"]) == 2


def test_no_sandbox_is_no_failure(signed_in: Command, world: World, api: str) -> None:
    world.apis[0]["status"] = "paused"
    assert "No sandbox at present" in signed_in("sandboxes", api).stdout


@pytest.mark.parametrize("command", ["egress", "sandboxes"])
def test_a_strange_server_is_said_to_be_one(
    signed_in: Command, world: World, api: str, command: str
) -> None:
    api_id = world.apis[0]["id"]
    world.answer = JSONResponse({"id": api_id, "surprise": 1})
    result = signed_in(command, api_id)
    assert (result.exit_code, "does not answer like Sandgate" in result.stderr) == (1, True)


@pytest.mark.parametrize("command", ["egress", "sandboxes"])
def test_help(sandgate: Command, command: str) -> None:
    result = sandgate(command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout

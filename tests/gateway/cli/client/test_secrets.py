"""Secrets from the command line: values come from stdin, and are never shown."""

import pytest

from gateway.cli.client import secrets
from tests.support.client_command import Command
from tests.support.client_server import World


@pytest.fixture
def api(world: World) -> str:
    return str(world.make_api("cats")["name"])


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("hunter2\n", "hunter2"),
        ("hunter2", "hunter2"),
        ("hunter2\r\n", "hunter2"),
        ("two\nlines\n", "two\nlines"),
        (" spaces ' \" \\ $(x) ü \n", " spaces ' \" \\ $(x) ü "),
    ],
)
def test_value_is_read_from_stdin(
    signed_in: Command, world: World, api: str, typed: str, value: str
) -> None:
    result = signed_in("secret", "set", api, "TOKEN", typed=typed)
    assert result.exit_code == 0, result.output
    assert world.bodies == [{"value": value}]
    assert result.stdout == "TOKEN is set.\nThe API was restarted.\n"
    assert "hunter2" not in result.output


def test_value_is_asked_for_unseen_at_a_terminal(
    signed_in: Command, world: World, api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, object]] = []

    def prompt(_question: str, **options: object) -> str:
        asked.append(options)
        return "typed"

    monkeypatch.setattr(secrets, "_is_terminal", lambda: True)
    monkeypatch.setattr("typer.prompt", prompt)
    assert signed_in("secret", "set", api, "TOKEN").exit_code == 0
    assert world.bodies == [{"value": "typed"}]
    assert asked == [{"hide_input": True, "err": True}]


def test_a_value_as_argument_is_no_way(signed_in: Command, world: World, api: str) -> None:
    assert signed_in("secret", "set", api, "TOKEN", "hunter2", typed="x").exit_code == 2
    assert signed_in("secret", "set", api, "TOKEN", "--value", "x", typed="x").exit_code == 2
    assert world.bodies == []


@pytest.mark.parametrize("typed", ["", "\n"])
def test_an_empty_value_is_refused(signed_in: Command, world: World, api: str, typed: str) -> None:
    result = signed_in("secret", "set", api, "TOKEN", typed=typed)
    assert (result.exit_code, "empty" in result.stderr) == (2, True)
    assert world.bodies == []


def test_a_value_that_is_too_long_is_refused(signed_in: Command, world: World, api: str) -> None:
    result = signed_in("secret", "set", api, "TOKEN", typed="x" * (128 * 1024 + 1))
    assert (result.exit_code, "too long" in result.stderr) == (2, True)
    assert world.bodies == []


def test_hosts_make_a_placeholder(signed_in: Command, world: World, api: str) -> None:
    arguments = (
        "secret",
        "set",
        api,
        "TOKEN",
        "--host",
        "a.example.com",
        "--host",
        "b.example.com",
    )
    assert signed_in(*arguments, typed="v").exit_code == 0
    assert world.bodies == [{"value": "v", "hosts": ["a.example.com", "b.example.com"]}]


def test_a_host_that_is_not_allowed_says_how_to_allow_it(signed_in: Command, api: str) -> None:
    arguments = ("secret", "set", api, "TOKEN", "--host", "elsewhere.example.com")
    result = signed_in(*arguments, typed="v")
    assert result.exit_code == 1
    assert "sandgate egress API --allow HOST" in result.stderr


def test_code_that_does_not_start_with_it_is_told(
    signed_in: Command, world: World, api: str
) -> None:
    world.restart_failure = "api_start_failed: app.py, line 3: KeyError"
    result = signed_in("secret", "set", api, "TOKEN", typed="v")
    assert (result.exit_code, result.stdout) == (0, "TOKEN is set.\n")
    assert "app.py, line 3: KeyError" in result.stderr


def test_list_and_delete(signed_in: Command, world: World, api: str) -> None:
    assert "secret set" in signed_in("secret", "list", api).stdout
    signed_in("secret", "set", api, "A", typed="hunter2")
    signed_in("secret", "set", api, "B", "--host", "a.example.com", typed="hunter2")
    result = signed_in("secret", "list", api)
    rows = [line.split()[:2] for line in result.stdout.splitlines()]
    assert rows == [["NAME", "HOSTS"], ["A", "-"], ["B", "a.example.com"]]
    assert "hunter2" not in result.output
    assert [each["name"] for each in signed_in.json("secret", "list", api)["items"]] == ["A", "B"]
    assert signed_in("secret", "delete", api, "A").stdout.startswith("A is deleted.")
    assert set(world.secrets) == {"B"}
    result = signed_in("secret", "delete", api, "A")
    assert (result.exit_code, "sandgate secret list" in result.stderr) == (1, True)
    assert signed_in.json("secret", "delete", api, "B")["restarted"] is True


def test_a_name_is_one_part_of_the_path(signed_in: Command, world: World, api: str) -> None:
    signed_in("secret", "set", api, "../../keys", typed="v")
    assert world.secrets.keys() <= {"../../keys"}
    assert all("/keys" not in path or "secrets" in path for _, path in world.requests)


@pytest.mark.parametrize(
    "command", [("secret",), ("secret", "set"), ("secret", "list"), ("secret", "delete")]
)
def test_help(sandgate: Command, command: tuple[str, ...]) -> None:
    result = sandgate(*command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout

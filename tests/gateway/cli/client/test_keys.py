"""Commands about keys: what they ask the server for, and what they show."""

from typing import Any

import pytest

from tests.support.client_command import Command
from tests.support.client_server import World


@pytest.fixture
def api(world: World) -> str:
    world.make_api("cats")
    return "cats"


def test_a_narrow_key(signed_in: Command, world: World, api: str) -> None:
    options = ["--name", "phone", "--expires", "2090-01-01T00:00:00Z", "--limit", "minute=60"]
    options += ["--limit", "day=unlimited", "--method", "get", "--method", "POST"]
    options += ["--path", "/items/*", "--address", "192.0.2.0/24", "--address", "::1"]
    assert signed_in("keys", "create", api, *options).exit_code == 0
    assert world.bodies == [
        {
            "name": "phone",
            "expires_at": "2090-01-01T00:00:00Z",
            "limits": {"minute": 60, "day": None},
            "scopes": {"methods": ["GET", "POST"], "paths": ["/items/*"]},
            "allowed_addresses": ["192.0.2.0/24", "::1"],
        }
    ]


@pytest.mark.parametrize(
    ("options", "body"),
    [
        (["--name", "tv"], {"name": "tv"}),
        (["--expires", "never"], {"expires_at": None}),
        (["--everything", "--anywhere"], {"scopes": {}, "allowed_addresses": []}),
        (["--path", "/a"], {"scopes": {"paths": ["/a"]}}),
    ],
)
def test_only_what_is_named_changes(
    signed_in: Command, world: World, options: list[str], body: dict[str, Any]
) -> None:
    assert "Changed k" in signed_in("keys", "change", "k", *options).stdout
    assert world.bodies == [body]


def test_what_is_no_limit(signed_in: Command, world: World, api: str) -> None:
    for limit in ("60", "minute=", "minute=-1"):
        assert signed_in("keys", "create", api, "--limit", limit).exit_code != 0
    assert world.bodies == []


@pytest.mark.parametrize(
    ("options", "body"), [([], {}), (["--overlap", "0"], {"overlap_seconds": 0})]
)
def test_a_rotation_shows_the_successor_and_until_when_the_old_key_works(
    signed_in: Command, world: World, options: list[str], body: dict[str, Any]
) -> None:
    result = signed_in("keys", "rotate", "k", *options)
    assert "sg_live_successor" in result.stdout
    assert "2026-11-23T00:00:00+00:00" in result.stdout
    assert "only this once" in result.stderr
    assert world.bodies == [body]


def test_a_key_id_cannot_reach_another_path(signed_in: Command, world: World, api: str) -> None:
    for command in (["change", "--name", "x"], ["rotate"]):
        result = signed_in("keys", command[0], "../apis/1", *command[1:])
        assert result.exit_code == 1
    assert world.bodies == []

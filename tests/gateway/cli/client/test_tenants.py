"""Tenants and members from the command line."""

import pytest

from tests.support.client_command import Command
from tests.support.client_server import World


@pytest.fixture
def team(world: World) -> str:
    world.tenants.make("mine", kind="personal")
    made = world.tenants.make("cats")
    world.tenants.join("ada@example.com", "owner")
    world.tenants.join("bob@example.com", "viewer")
    return str(made["id"])


def test_tenants_are_made_listed_and_shown(signed_in: Command, team: str) -> None:
    made = signed_in.json("tenants", "create", "dogs")
    listed = signed_in("tenants", "list").stdout.splitlines()
    assert listed[0].split() == ["NAME", "ROLE", "KIND", "PLAN", "STATUS", "ID"]
    assert [line.split()[0] for line in listed[1:]] == ["mine", "cats", "dogs"]
    assert signed_in.json("tenants", "show", "dogs") == made
    assert "cats" in signed_in("tenants", "show", team).stdout


def test_a_tenant_gets_another_name(signed_in: Command, world: World, team: str) -> None:
    assert signed_in.json("tenants", "rename", "cats", "big cats")["name"] == "big cats"


def test_usage_shows_what_is_left_and_each_day(signed_in: Command, team: str) -> None:
    lines = signed_in("tenants", "usage", "cats").stdout.splitlines()
    assert lines[1].split() == ["hour", "100", "3", "97"]
    assert lines[4].split() == ["2026-11-22", "3", "12", "1"]


def test_a_tenant_is_handed_over_and_left(signed_in: Command, world: World, team: str) -> None:
    heir = world.tenants.members[1]["user_id"]
    answer = signed_in("tenants", "transfer", "cats", "BOB@example.com", "--yes")
    assert answer.stdout == "bob@example.com owns cats now.\n"
    assert world.tenants.bodies == [{"user_id": heir}]
    assert signed_in("tenants", "leave", "cats").stdout == "You left cats.\n"
    assert [tenant["name"] for tenant in world.tenants.tenants] == ["mine"]


@pytest.mark.parametrize(
    "command",
    [
        ("tenants", "delete", "cats"),
        ("tenants", "transfer", "cats", "bob@example.com"),
        ("members", "remove", "cats", "bob@example.com"),
    ],
)
def test_what_cannot_be_undone_is_asked_first(
    signed_in: Command, world: World, team: str, command: tuple[str, ...]
) -> None:
    def changes() -> int:
        return sum(method in ("DELETE", "POST") for method, _ in world.requests)

    before = changes()
    assert signed_in(*command, typed="n\n").exit_code == 2
    assert signed_in(*command, "--json").exit_code == 2
    assert changes() == before
    assert signed_in(*command, typed="y\n").exit_code == 0
    assert changes() == before + 1


def test_members_are_listed_changed_and_taken_out(
    signed_in: Command, world: World, team: str
) -> None:
    lines = signed_in("members", "list", "cats").stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [
        ["ada@example.com", "owner"],
        ["bob@example.com", "viewer"],
    ]
    changed = signed_in("members", "role", "cats", "bob@example.com", "admin")
    assert changed.stdout == "bob@example.com is admin now.\n"
    bob = world.tenants.members[1]["user_id"]
    assert signed_in("members", "remove", team, bob, "--yes").exit_code == 0
    assert [member["email"] for member in world.tenants.members] == ["ada@example.com"]


def test_administrators_add_members(signed_in: Command, world: World, team: str) -> None:
    assert signed_in("members", "add", "cats", "the-id", "--role", "viewer").exit_code == 0
    assert world.tenants.bodies == [{"user_id": "the-id", "role": "viewer"}]


def test_what_is_not_there_is_said(signed_in: Command, world: World, team: str) -> None:
    unknown = signed_in("tenants", "show", "lions")
    assert (unknown.exit_code, "`sandgate tenants list`" in unknown.stderr) == (1, True)
    nobody = signed_in("members", "role", "cats", "eve@example.com", "admin")
    assert (nobody.exit_code, "`sandgate members list" in nobody.stderr) == (1, True)
    assert signed_in("members", "role", "cats", "bob@example.com", "god").exit_code == 2
    world.tenants.make("cats")
    twice = signed_in("tenants", "show", "cats")
    assert (twice.exit_code, team in twice.stderr) == (2, True)


@pytest.mark.parametrize("group", ["tenants", "members"])
def test_help_tells_of_every_command(signed_in: Command, group: str) -> None:
    text = signed_in(group, "--help").stdout
    commands = {
        "tenants": ("list", "create", "show", "rename", "usage", "transfer", "leave", "delete"),
        "members": ("list", "role", "remove", "add"),
    }
    for command in commands[group]:
        assert f" {command} " in text
        assert signed_in(group, command, "--help").exit_code == 0

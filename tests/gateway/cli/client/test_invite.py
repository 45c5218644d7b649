"""Invitations from the command line."""

import pytest

from tests.support.client_command import Command
from tests.support.client_server import World


@pytest.fixture(autouse=True)
def team(world: World) -> None:
    world.tenants.make("cats")


def test_the_token_is_shown_once_with_what_to_do(signed_in: Command, world: World) -> None:
    result = signed_in("invite", "create", "cats", "bob@example.com", "--role", "viewer")
    assert world.tenants.bodies == [{"email": "bob@example.com", "role": "viewer", "days": 7}]
    assert "token       sgi_secret" in result.stdout
    assert "hand the token on yourself" in result.stderr
    world.tenants.mails = True
    assert signed_in("invite", "create", "cats", "eve@example.com").stderr == "It was mailed.\n"


def test_invitations_are_listed_and_taken_back(signed_in: Command, world: World) -> None:
    assert signed_in("invite", "list", "cats").stdout.startswith("Nobody was invited.")
    made = signed_in.json("invite", "create", "cats", "bob@example.com", "--days", "30")
    line = signed_in("invite", "list", "cats").stdout.splitlines()[1]
    assert line.split() == ["bob@example.com", "developer", "open", "soon", made["id"]]
    assert signed_in.json("invite", "revoke", "cats", made["id"])["revoked"] is True
    assert world.tenants.invitations == []


@pytest.mark.parametrize("typed", [False, True])
def test_an_invitation_is_accepted(signed_in: Command, world: World, typed: bool) -> None:
    arguments = ["invite", "accept", *([] if typed else ["sgi_secret"])]
    result = signed_in(*arguments, typed="sgi_secret\n")
    assert result.stdout.endswith("You belong to cats now, as viewer.\n")
    assert world.tenants.bodies == [{"token": "sgi_secret"}]


@pytest.mark.parametrize(
    "options", [("--role", "owner"), ("--days", "0"), ("--days", "31"), ("--days", "x")]
)
def test_what_makes_no_sense_is_not_sent(
    signed_in: Command, world: World, options: tuple[str, str]
) -> None:
    assert signed_in("invite", "create", "cats", "bob@example.com", *options).exit_code == 2
    assert world.tenants.bodies == []


def test_help_tells_of_every_command(signed_in: Command) -> None:
    text = signed_in("invite", "--help").stdout
    for command in ("create", "list", "revoke", "accept"):
        assert f" {command} " in text
        assert signed_in("invite", command, "--help").exit_code == 0

"""Money from the command line."""

import pytest
from fastapi.responses import JSONResponse

from tests.support.client_command import Command
from tests.support.client_server import World

TENANT = "5f0c1d52-8b0e-4c41-9d6c-0a0000000001"
BALANCE = {
    "tenant_id": TENANT,
    "granted_nano_usd": 5_250_000_000,
    "spent_nano_usd": 1,
    "earned_nano_usd": 0,
    "balance_nano_usd": 5_249_999_999,
}


@pytest.fixture
def answering(signed_in: Command, world: World) -> Command:
    world.answer = JSONResponse(BALANCE)
    return signed_in


def test_what_is_left_is_shown_to_the_last_digit(answering: Command, world: World) -> None:
    text = answering("credit").stdout
    assert "to spend        5.249999999 USD" in text
    assert "spent on calls  0.000000001 USD" in text
    assert answering.json("credit", "--tenant", TENANT) == BALANCE
    assert [path for _, path in world.requests[-2:]] == ["/api/credit", "/api/credit"]


def test_administrators_give_credit(answering: Command, world: World) -> None:
    result = answering("credit", "--tenant", TENANT, "--give", "5.25", "--key", "k")
    assert result.exit_code == 0
    assert world.requests[-1] == ("POST", f"/api/admin/tenants/{TENANT}/credit")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--give", "5"),
        ("--give", "much", "--tenant", TENANT),
        ("--tenant", "../keys"),
    ],
)
def test_what_makes_no_sense_is_not_sent(
    answering: Command, world: World, arguments: tuple[str, ...]
) -> None:
    before = len(world.requests)
    assert answering("credit", *arguments).exit_code == 2
    assert len(world.requests) == before


def test_a_strange_server_is_said_to_be_one(signed_in: Command, world: World) -> None:
    world.answer = JSONResponse({"surprise": 1})
    assert signed_in("credit").exit_code == 1

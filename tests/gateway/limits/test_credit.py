"""Balances in memory."""

from gateway.limits.credit import IDLE_SECONDS, Credits
from gateway.limits.types import Charge


def test_an_unknown_account_has_no_balance() -> None:
    assert Credits().balance("t", 0) is None


def test_spent_is_taken_over_once_and_granted_always() -> None:
    balances = Credits()
    balances.set("t", 100, 30, 0)
    balances.spend(Charge("t", 20))
    balances.set("t", 200, 0, 0)
    assert balances.balance("t", 0) == 150


def test_a_refund_gives_back() -> None:
    balances = Credits()
    balances.set("t", 100, 0, 0)
    balances.spend(Charge("t", 20))
    balances.refund(Charge("t", 20))
    balances.refund(Charge("nobody", 20))
    assert balances.balance("t", 0) == 100


def test_idle_accounts_are_forgotten_and_used_ones_are_not() -> None:
    balances = Credits()
    balances.set("used", 1, 0, 0)
    for account in range(1000):
        balances.set(f"a{account}", 1, 0, account * 100)
        balances.balance("used", account * 100)
    assert len(balances) < 2 * IDLE_SECONDS / 100
    assert balances.balance("used", 100_000) == 1

"""The command about money: what is left, and credit that administrators give."""

import re
import secrets
from typing import Annotated, Any

import typer

from gateway.cli.amounts import dollars, nano_of
from gateway.cli.client.failures import InputError, reporting
from gateway.cli.client.output import AsJson, show_json, show_pairs
from gateway.cli.client.server import unlike_sandgate
from gateway.cli.client.session import Session, signed_in

_SHOWN = (
    ("to spend", "balance_nano_usd"),
    ("granted", "granted_nano_usd"),
    ("spent on calls", "spent_nano_usd"),
    ("earned by APIs", "earned_nano_usd"),
)


def credit(
    tenant: Annotated[
        str | None, typer.Option(metavar="ID", help="Of this tenant; else your personal one.")
    ] = None,
    give: Annotated[
        str | None,
        typer.Option(metavar="USD", help="For administrators: give --tenant so much, like 5.25."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(help="With --give: the same key again gives nothing twice. [made up]"),
    ] = None,
    note: Annotated[str, typer.Option(help="With --give: why.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show what is left to spend on calls that cost something."""
    with reporting(as_json), signed_in() as session:
        if give is None:
            found = session.call("GET", f"/api/credit{'' if tenant is None else _query(tenant)}")
        else:
            found = _given(session, tenant, _amount(give), key or secrets.token_hex(16), note)
        try:
            shown = [(label, dollars(int(found[name]))) for label, name in _SHOWN]
        except (KeyError, TypeError, ValueError) as error:
            raise unlike_sandgate(session.url) from error
        if as_json:
            show_json(found)
        else:
            show_pairs(shown)


def _amount(text: str) -> int:
    amount = nano_of(text)
    if amount is None:
        raise InputError("--give takes an amount of USD with at most nine decimals, like 5.25")
    return amount


def _given(
    session: Session, tenant: str | None, amount: int, key: str, note: str
) -> dict[str, Any]:
    """The balance afterwards. `Any`: JSON."""
    if tenant is None:
        raise InputError("--give needs --tenant")
    body = {"amount_nano_usd": amount, "idempotency_key": key, "note": note}
    return session.call("POST", f"/api/admin/tenants/{_checked(tenant)}/credit", body)


def _query(tenant: str) -> str:
    return f"?tenant_id={_checked(tenant)}"


def _checked(tenant: str) -> str:
    """It becomes part of a path."""
    if not re.fullmatch(r"[0-9A-Fa-f-]{32,36}", tenant):
        raise InputError("--tenant takes the id of a tenant")
    return tenant

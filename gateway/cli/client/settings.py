"""The command about how calls of an API are treated on their way, and what they cost."""

import json
from typing import Annotated, Any

import typer

from gateway.cli.client.apis import ApiArgument, find_api, path_of
from gateway.cli.client.failures import InputError, reporting
from gateway.cli.client.output import AsJson, show_json
from gateway.cli.client.server import unlike_sandgate
from gateway.cli.client.session import signed_in


def settings(
    api: ApiArgument,
    file: Annotated[
        typer.FileText | None,
        typer.Option(help="Replace the call settings by this JSON object; - reads it from stdin."),
    ] = None,
    price: Annotated[
        int | None, typer.Option(metavar="NANO_USD", help="What a call costs others; 0 is free.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the call settings and the price of an API as JSON, or change them."""
    with reporting(as_json), signed_in() as session:
        change: dict[str, Any] = {}
        if file is not None:
            change["call_settings"] = _read(file.read())
        if price is not None:
            change["price_nano_usd"] = price
        found = session.call("GET", path_of(find_api(session, api)))
        if change:
            found = session.call("PATCH", path_of(found), change)
        try:
            shown = {name: found[name] for name in ("call_settings", "price_nano_usd")}
        except KeyError as error:
            raise unlike_sandgate(session.url) from error
        show_json(shown)


def _read(text: str) -> dict[str, Any]:
    """An object of JSON; the server knows what may be in it. `Any`: JSON."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InputError(f"the settings are not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError('the settings are one JSON object, like {"cache": true}')
    return value

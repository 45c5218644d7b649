"""Commands about the keys of an API: list, create, change, rotate, revoke."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote

import typer

from gateway.cli.client.apis import ApiArgument, find_api, path_of
from gateway.cli.client.failures import InputError, reporting
from gateway.cli.client.output import AsJson, show, show_json, show_pairs, show_table
from gateway.cli.client.session import signed_in

KeyArgument = Annotated[str, typer.Argument(metavar="KEY_ID", help="Id from `sandgate keys list`.")]
Name = Annotated[str | None, typer.Option(help="What it is for.")]
Expires = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="When it ends, like 2030-01-31T12:00:00Z, or `never`."),
]
Limits = Annotated[
    list[str] | None,
    typer.Option("--limit", metavar="WINDOW=CALLS", help="Like minute=60, hour=…, day=…"),
]
Methods = Annotated[list[str] | None, typer.Option("--method", help="A method it may use.")]
Paths = Annotated[
    list[str] | None,
    typer.Option("--path", help="A path it may call: /items, or '/items/*' for all below."),
]
Addresses = Annotated[
    list[str] | None,
    typer.Option("--address", help="An address or network that it may be used from."),
]

keys_app = typer.Typer(help="Keys that open your APIs.", no_args_is_help=True)


@keys_app.command("list")
def list_keys(api: ApiArgument, as_json: AsJson = False) -> None:
    """List the keys of an API."""
    with reporting(as_json), signed_in() as session:
        items = session.items(path_of(find_api(session, api), "keys"))
        if as_json:
            show_json({"items": items})
        elif not items:
            show("No keys yet. Make one with `sandgate keys create API`.")
        else:
            members = ("display", "name", "last_used_at", "expires_at", "ends_at", "revoked_at")
            header = (
                "KEY",
                "NAME",
                "LAST USED",
                "EXPIRES",
                "ROTATED UNTIL",
                "REVOKED",
                "WHY",
                "ID",
            )
            rows = [
                [*(key.get(member) for member in members), key.get("revoked_reason"), key.get("id")]
                for key in items
            ]
            show_table(header, rows)


@keys_app.command("create")
def create_key(
    api: ApiArgument,
    name: Name = None,
    expires: Expires = None,
    limit: Limits = None,
    method: Methods = None,
    path: Paths = None,
    address: Addresses = None,
    as_json: AsJson = False,
) -> None:
    """Make a key for an API; it is shown this once."""
    with reporting(as_json), signed_in() as session:
        body = _asked(name, expires, limit, method, path, address)
        answer = session.call("POST", path_of(find_api(session, api), "keys"), body)
        _show_new(answer, as_json, [])


@keys_app.command("change")
def change_key(
    key: KeyArgument,
    name: Name = None,
    expires: Expires = None,
    limit: Limits = None,
    method: Methods = None,
    path: Paths = None,
    address: Addresses = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="All methods and paths again.")
    ] = False,
    anywhere: Annotated[bool, typer.Option("--anywhere", help="From every address again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Change a key; what is named replaces all that was set in its place."""
    with reporting(as_json), signed_in() as session:
        body = _asked(name, expires, limit, method, path, address)
        if everything:
            body["scopes"] = {}
        if anywhere:
            body["allowed_addresses"] = []
        answer = session.call("PATCH", _path(key), body)
        if as_json:
            show_json(answer)
        else:
            show(f"Changed {key}.")


@keys_app.command("rotate")
def rotate_key(
    key: KeyArgument,
    overlap: Annotated[
        int | None,
        typer.Option(metavar="SECONDS", help="How long the old key goes on; a day by default."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key that takes another one's place; it is shown this once."""
    with reporting(as_json), signed_in() as session:
        body = {} if overlap is None else {"overlap_seconds": overlap}
        answer = session.call("POST", f"{_path(key)}/rotate", body)
        _show_new(answer, as_json, [("Old key until", str(answer.get("replaces_until")))])


@keys_app.command("revoke")
def revoke_key(key: KeyArgument, as_json: AsJson = False) -> None:
    """Take a key back; calls with it are refused at once."""
    with reporting(as_json), signed_in() as session:
        session.call("DELETE", _path(key))
        if as_json:
            show_json({"id": key, "revoked": True})
        else:
            show(f"Revoked {key}.")


def _path(key: str) -> str:
    return f"/api/keys/{quote(key, safe='')}"


def _asked(
    name: str | None,
    expires: str | None,
    limits: Sequence[str] | None,
    methods: Sequence[str] | None,
    paths: Sequence[str] | None,
    addresses: Sequence[str] | None,
) -> dict[str, object]:
    """What was said, as the server wants it; it judges the values."""
    body: dict[str, object] = {}
    if name:
        body["name"] = name
    if expires:
        body["expires_at"] = None if expires == "never" else expires
    if limits:
        body["limits"] = dict(map(_limit, limits))
    scopes = {"methods": [each.upper() for each in methods or ()], "paths": list(paths or ())}
    if any(scopes.values()):
        body["scopes"] = {part: values for part, values in scopes.items() if values}
    if addresses:
        body["allowed_addresses"] = list(addresses)
    return body


def _limit(text: str) -> tuple[str, int | None]:
    window, _, quantity = text.partition("=")
    if quantity == "unlimited":
        return window, None
    if not quantity.isdecimal():
        raise InputError(f"{text} is not a limit", "Write minute=60, or minute=unlimited.")
    return window, int(quantity)


def _show_new(answer: Mapping[str, Any], as_json: bool, more: list[tuple[str, str]]) -> None:
    """A key with its secret. `Any`: it is JSON."""
    if as_json:
        show_json(answer)
        return
    show_pairs([("Key", str(answer.get("key"))), ("Id", str(answer.get("id"))), *more])
    typer.echo("The key is shown only this once: keep it now.", err=True)

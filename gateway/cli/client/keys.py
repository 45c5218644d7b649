"""Commands about the keys of an API: list, create, revoke."""

from typing import Annotated
from urllib.parse import quote

import typer

from gateway.cli.client.apis import ApiArgument, find_api, path_of
from gateway.cli.client.failures import reporting
from gateway.cli.client.output import AsJson, show, show_json, show_pairs, show_table
from gateway.cli.client.session import signed_in

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
            members = ("display", "name", "last_used_at", "expires_at", "revoked_at", "id")
            header = ("KEY", "NAME", "LAST USED", "EXPIRES", "REVOKED", "ID")
            show_table(header, [[key.get(member) for member in members] for key in items])


@keys_app.command("create")
def create_key(
    api: ApiArgument,
    name: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key for an API; it is shown this once."""
    with reporting(as_json), signed_in() as session:
        body = {"name": name} if name else {}
        answer = session.call("POST", path_of(find_api(session, api), "keys"), body)
        if as_json:
            show_json(answer)
        else:
            show_pairs([("Key", str(answer.get("key"))), ("Id", str(answer.get("id")))])
            typer.echo("The key is shown only this once: keep it now.", err=True)


@keys_app.command("revoke")
def revoke_key(
    key: Annotated[str, typer.Argument(metavar="KEY_ID", help="Id from `sandgate keys list`.")],
    as_json: AsJson = False,
) -> None:
    """Take a key back; calls with it are refused at once."""
    with reporting(as_json), signed_in() as session:
        session.call("DELETE", f"/api/keys/{quote(key, safe='')}")
        if as_json:
            show_json({"id": key, "revoked": True})
        else:
            show(f"Revoked {key}.")

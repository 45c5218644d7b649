"""Commands about the secrets of an API: set, list, delete. A value is never an argument."""

import sys
from typing import Annotated, Any
from urllib.parse import quote

import typer

from gateway.cli.client.apis import ApiArgument, find_api, path_of
from gateway.cli.client.failures import InputError, reporting
from gateway.cli.client.output import AsJson, progress, show, show_json, show_table
from gateway.cli.client.server import BUILD_SECONDS, unlike_sandgate
from gateway.cli.client.session import signed_in

secret_app = typer.Typer(help="Secrets that your code reads from os.environ.", no_args_is_help=True)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Like API_TOKEN.")]
_MAX_BYTES = 128 * 1024  # more than any value may have; the server knows the limit


@secret_app.command("set")
def set_secret(
    api: ApiArgument,
    name: NameArgument,
    host: Annotated[
        list[str] | None,
        typer.Option(help="Only requests to this host get the value, the code a placeholder."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Store a secret and restart the API with it; the value is read from stdin or asked for."""
    with reporting(as_json), signed_in() as session:
        body: dict[str, object] = {"value": _value()}
        if host:
            body["hosts"] = host
        path = path_of(find_api(session, api), "secrets", quote(name, safe=""))
        with progress(f"Restarting with {name}", as_json):
            answer = session.call("PUT", path, body, BUILD_SECONDS)
        if as_json:
            show_json(answer)
        else:
            show(f"{name} is set.")
            _show_restart(answer)


@secret_app.command("list")
def list_secrets(api: ApiArgument, as_json: AsJson = False) -> None:
    """List the secrets of an API; values are never shown."""
    with reporting(as_json), signed_in() as session:
        answer = session.call("GET", path_of(find_api(session, api), "secrets"))
        items = answer.get("items")
        if not isinstance(items, list):
            raise unlike_sandgate(session.url)
        if as_json:
            show_json({"items": items})
        elif not items:
            show("No secrets yet. Set one with `sandgate secret set API NAME`.")
        else:
            show_table(
                ("NAME", "HOSTS", "UPDATED"),
                [
                    [secret.get("name"), _hosts(secret), secret.get("updated_at")]
                    for secret in items
                ],
            )


@secret_app.command("delete")
def delete_secret(api: ApiArgument, name: NameArgument, as_json: AsJson = False) -> None:
    """Forget a secret and restart the API without it."""
    with reporting(as_json), signed_in() as session:
        path = path_of(find_api(session, api), "secrets", quote(name, safe=""))
        with progress(f"Restarting without {name}", as_json):
            answer = session.call("DELETE", path, seconds=BUILD_SECONDS)
        if as_json:
            show_json(answer)
        else:
            show(f"{name} is deleted.")
            _show_restart(answer)


def _value() -> str:
    """From stdin without its last line end, or typed unseen."""
    if _is_terminal():
        try:
            return str(typer.prompt("Value", hide_input=True, err=True))
        except typer.Abort as error:
            raise InputError("The value is missing", "Type it, or send it to stdin.") from error
    data = sys.stdin.buffer.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise InputError("The value is too long")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            "The value is not UTF-8 text", "Encode it first, as base64 say."
        ) from error
    value = text.removesuffix("\n").removesuffix("\r")
    if not value:
        raise InputError("The value is empty", "Send it to stdin.")
    return value


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _hosts(secret: dict[str, Any]) -> str:
    """Where the value goes; without hosts the code itself has it. `Any`: JSON."""
    return " ".join(map(str, secret.get("hosts") or ())) or "-"


def _show_restart(answer: dict[str, Any]) -> None:
    """What became of the sandboxes; it is no failure of the command. `Any`: JSON."""
    if answer.get("restarted"):
        show("The API was restarted.")
    elif answer.get("failure"):
        typer.echo(f"sandgate: the API did not start again. {answer['failure']}", err=True)

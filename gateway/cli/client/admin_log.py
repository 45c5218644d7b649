"""Commands of administrators about the installation: audit log and kill switches."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

import typer

from gateway.cli.client.admin import Most, Why, admin_app, pages
from gateway.cli.client.failures import InputError, reporting
from gateway.cli.client.output import AsJson, show, show_json, show_table
from gateway.cli.client.session import signed_in

app = admin_app  # whole once this module has put its commands on it
EXPORT_SECONDS = 300.0
_COLUMNS = ("at", "actor", "action", "target_type", "target_id", "reason", "address")


class SwitchName(StrEnum):
    """What can be stopped."""

    GENERATION = "generation"
    PUBLISHING = "publishing"
    EGRESS = "egress"
    API = "api"


Switch = Annotated[SwitchName, typer.Argument(metavar="SWITCH", help="generation, publishing, "
                                              "egress or api.")]  # fmt: skip
OfApi = Annotated[str | None, typer.Option("--api", metavar="API", help="Only of this API.")]


@admin_app.command("audit")
def audit(
    actor: Annotated[str | None, typer.Option(help="E-mail address, or `admin key`.")] = None,
    action: Annotated[
        str | None, typer.Option(help="Like tenant.suspend; `tenant.` is all of tenants.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Id of what it was done to.")] = None,
    request: Annotated[str | None, typer.Option(help="Id of a request.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Like 2030-01-31T12:00:00Z.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before that.")] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all that fits there; - is stdout.")
    ] = None,
    limit: Most = 50,
    as_json: AsJson = False,
) -> None:
    """Look up who did what, newest first."""
    given = {
        "actor": actor, "action": action, "target_id": target, "request_id": request,
        "since": since, "until": until,
    }  # fmt: skip
    params = {name: value for name, value in given.items() if value is not None}
    with reporting(as_json), signed_in() as session:
        if csv is not None:
            asked = f"/api/admin/audit.csv?{urlencode(params)}"
            _write(csv, session.text(asked, seconds=EXPORT_SECONDS))
            return
        items = pages(session, "/api/admin/audit", params, limit, "before")
        if as_json:
            show_json({"items": items})
        elif items:
            header = [name.replace("_", " ").upper() for name in _COLUMNS]
            show_table(header, [[item.get(name) for name in _COLUMNS] for item in items])
        else:
            show("Nothing found.")


@admin_app.command("switches")
def switches(as_json: AsJson = False) -> None:
    """Show what is stopped, by whom and why."""
    with reporting(as_json), signed_in() as session:
        _show(session.call("GET", "/api/admin/switches"), as_json)


@admin_app.command("stop")
def stop(switch: Switch, reason: Why, api: OfApi = None, as_json: AsJson = False) -> None:
    """Stop generation, publishing, egress or one API, everywhere and at once."""
    _set(switch, True, reason, api, as_json)


@admin_app.command("start")
def start(switch: Switch, reason: Why, api: OfApi = None, as_json: AsJson = False) -> None:
    """Let what was stopped go on."""
    _set(switch, False, reason, api, as_json)


def _set(switch: SwitchName, stopped: bool, reason: str, api: str | None, as_json: bool) -> None:
    body: dict[str, object] = {"stopped": stopped, "reason": reason}
    if api is not None:
        body["api_id"] = api
    with reporting(as_json), signed_in() as session:
        _show(session.call("PUT", f"/api/admin/switches/{switch}", body), as_json)


def _show(found: dict[str, object], as_json: bool) -> None:
    items = found.get("items")
    if as_json:
        show_json(found)
    elif isinstance(items, list) and items:
        names = ("switch", "api_id", "since", "by", "reason")
        header = [name.replace("_", " ").upper() for name in names]
        show_table(header, [[item.get(name) for name in names] for item in items])
    else:
        show("Nothing is stopped.")


def _write(file: Path, text: str) -> None:
    if str(file) == "-":
        typer.echo(text, nl=False)
        return
    try:
        file.write_text(text, newline="")
    except OSError as error:
        raise InputError(f"Cannot write {file}: {error.strerror}") from error
    show(f"Written to {file}.")

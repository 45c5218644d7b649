"""Commands about how an API is kept in: where it may connect to, and its sandboxes."""

from typing import Annotated, Any

import typer

from gateway.cli.client.apis import ApiArgument, find_api, path_of
from gateway.cli.client.failures import InputError, reporting
from gateway.cli.client.output import AsJson, show, show_json, show_table
from gateway.cli.client.server import unlike_sandgate
from gateway.cli.client.session import signed_in


def egress(
    api: ApiArgument,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="Let the API connect to this: HOST, HOST:PORT or *.DOMAIN."),
    ] = None,
    deny: Annotated[list[str] | None, typer.Option(help="Take this off the list.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show where an API may connect to, or change it; open connections are closed at once."""
    with reporting(as_json), signed_in() as session:
        found = session.call("GET", path_of(find_api(session, api)))
        hosts = _hosts_of(found, session.url)
        if allow or deny:
            wanted = [*_without(hosts, deny or []), *(allow or [])]
            found = session.call("PATCH", path_of(found), {"egress": {"hosts": wanted}})
            hosts = _hosts_of(found, session.url)
        if as_json:
            show_json({"hosts": hosts})
        elif hosts:
            show("\n".join(hosts))
        else:
            show(f"{found.get('name')} may connect to nothing.")


def sandboxes(api: ApiArgument, as_json: AsJson = False) -> None:
    """List the sandboxes of an API, and why the last ones ended."""
    with reporting(as_json), signed_in() as session:
        items = session.call("GET", path_of(find_api(session, api), "sandboxes")).get("items")
        if not isinstance(items, list):
            raise unlike_sandgate(session.url)
        if as_json:
            show_json({"items": items})
        elif not items:
            show("No sandbox at present; the next call starts one.")
        else:
            header = ("STATUS", "VERSION", "TIER", "AGE", "MEMORY", "END", "REASON")
            show_table(header, [_row(item) for item in items])


def _hosts_of(api: dict[str, Any], url: str) -> list[str]:
    """The list as the server has it. `Any`: JSON."""
    try:
        return [str(host) for host in api["egress"]["hosts"]]
    except (KeyError, TypeError) as error:
        raise unlike_sandgate(url) from error


def _without(hosts: list[str], denied: list[str]) -> list[str]:
    """The list without these; a name that is not on it is a mistake."""
    gone = {host.lower() for host in denied}
    unknown = gone - set(hosts)
    if unknown:
        raise InputError(f"{', '.join(sorted(unknown))} is not on the list")
    return [host for host in hosts if host not in gone]


def _row(item: dict[str, Any]) -> list[object]:
    memory = item.get("memory_bytes")
    return [
        item.get("status"),
        item.get("version"),
        item.get("tier"),
        f"{item.get('age_seconds') or 0:.0f} s",
        f"{memory / 2**20:.0f} MB" if isinstance(memory, int) else None,
        item.get("end"),
        item.get("reason") or None,
    ]

"""The library of templates, and APIs made from one of them without a model."""

from typing import Annotated
from urllib.parse import quote

import typer

from gateway.cli.client.deploy import create_api, show_deployed
from gateway.cli.client.failures import InputError, reporting
from gateway.cli.client.generate import curl
from gateway.cli.client.output import AsJson, show, show_json, show_table
from gateway.cli.client.session import signed_in


def templates(
    text: Annotated[str, typer.Argument(help="Only those that have to do with this.")] = "",
    as_json: AsJson = False,
) -> None:
    """List whole APIs that are ready to be made."""
    with reporting(as_json), signed_in() as session:
        path = f"/api/templates?limit=200&q={quote(text, safe='')}"
        items = session.call("GET", path).get("items", [])
        if as_json:
            show_json({"items": items})
        elif not items:
            show("No template has to do with that. `sandgate templates` lists all.")
        else:
            show_table(
                ["TEMPLATE", "WHAT IT DOES"], [[one["slug"], one["summary"]] for one in items]
            )
            show("Make one with `sandgate create --template TEMPLATE`.")


def create(
    template: Annotated[
        str | None, typer.Option(help="Slug of a template; `sandgate templates` lists them.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the API. [the template's title]")] = None,
    description: Annotated[str | None, typer.Option(help="[the template's]")] = None,
    as_json: AsJson = False,
) -> None:
    """Make an API from a template; prints where it answers and a command that calls it."""
    with reporting(as_json), signed_in() as session:
        if template is None:
            raise InputError("Say which template", "`sandgate templates` lists them.")
        found = session.call("GET", f"/api/templates/{quote(template, safe='')}")
        body = {"name": name or str(found.get("title", template)), "template": template}
        if description is not None:
            body["description"] = description
        answer = create_api(session, body, as_json)
        # what the template answers to; few have anything at their root
        address, key = str(answer["endpoint_url"]), str(answer.get("api_key") or "")
        answer["curl"] = curl(address, key, found.get("contract"))
        show_deployed(answer, as_json)

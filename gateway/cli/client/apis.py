"""Finding the API that an argument means, and the commands that act on one."""

from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

import typer

from gateway.cli.client.failures import InputError, RefusedError, reporting
from gateway.cli.client.output import AsJson, moment, show, show_json, show_table
from gateway.cli.client.session import Session, signed_in

ApiArgument = Annotated[str, typer.Argument(metavar="API", help="Id, slug or name.")]


def path_of(api: dict[str, Any], *more: str) -> str:
    """Path of an API's resource. `Any`: the API's JSON."""
    return "/".join(["/api/apis", quote(str(api["id"]), safe=""), *more])


def find_api(session: Session, wanted: str) -> dict[str, Any]:
    """The API with this id, else with this slug, else with this name. `Any`: its JSON."""
    if is_uuid(wanted):
        return session.call("GET", path_of({"id": wanted}))
    known = session.items("/api/apis")
    for member in ("slug", "name"):
        found = [api for api in known if api.get(member) == wanted]
        if len(found) > 1:
            ids = ", ".join(str(api["id"]) for api in found)
            raise InputError(f"{wanted} is the name of several APIs", f"Use an id: {ids}.")
        if found:
            return found[0]
    raise RefusedError(
        f"There is no API {wanted}",
        "`sandgate apis` lists yours.",
        {
            "type": "about:blank",
            "title": "Not found",
            "status": 404,
            "code": "api_not_found",
            "detail": f"There is no API {wanted} among yours.",
        },
    )


def list_apis(as_json: AsJson = False) -> None:
    """List your APIs."""
    with reporting(as_json), signed_in() as session:
        items = session.items("/api/apis")
        if as_json:
            show_json({"items": items})
        elif not items:
            show("No APIs yet. Make one with `sandgate deploy app.py`.")
        else:
            members = ("name", "status", "slug", "id")
            show_table(
                [member.upper() for member in members],
                [[api.get(member) for member in members] for api in items],
            )


def pause(api: ApiArgument, as_json: AsJson = False) -> None:
    """Stop answering calls; nothing is lost."""
    _set_status(api, "paused", as_json)


def resume(api: ApiArgument, as_json: AsJson = False) -> None:
    """Answer calls again."""
    _set_status(api, "active", as_json)


def rollback(api: ApiArgument, as_json: AsJson = False) -> None:
    """Go back to the version that answered before."""
    with reporting(as_json), signed_in() as session:
        found = find_api(session, api)
        answer = session.call("POST", path_of(found, "rollback"))
        if as_json:
            show_json(answer)
        else:
            show(f"{found.get('name')} is back on version {_version(answer)}.")


def remove(
    api: ApiArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove an API with its versions and keys."""
    with reporting(as_json), signed_in() as session:
        found = find_api(session, api)
        if not yes:
            _confirm(found, as_json)
        session.call("DELETE", path_of(found))
        if as_json:
            show_json({"id": found["id"], "removed": True})
        else:
            show(f"Removed {found.get('name')}.")


def logs(
    api: ApiArgument,
    tail: Annotated[int, typer.Option(min=1, max=1000, help="How many lines.")] = 200,
    as_json: AsJson = False,
) -> None:
    """Print the last lines that the API wrote."""
    with reporting(as_json), signed_in() as session:
        answer = session.call("GET", path_of(find_api(session, api), f"logs?tail={tail}"))
        if as_json:
            show_json(answer)
            return
        for line in answer.get("items", []):
            show(f"{moment(line.get('at'))} {line.get('stream')} {line.get('text')}".rstrip())


def _set_status(api: str, status: str, as_json: bool) -> None:
    with reporting(as_json), signed_in() as session:
        found = find_api(session, api)
        answer = session.call("PATCH", path_of(found), {"status": status})
        if as_json:
            show_json(answer)
        else:
            show(f"{found.get('name')} is {answer.get('status', status)}.")


def _confirm(api: dict[str, Any], as_json: bool) -> None:
    question = f"Remove {api.get('name')} ({api['id']}) with all its versions and keys?"
    try:
        is_sure = not as_json and typer.confirm(question, err=True)
    except typer.Abort:
        is_sure = False
    if not is_sure:
        raise InputError("Nothing was removed", "Confirm, or say --yes.")


def is_uuid(text: str) -> bool:
    """Whether this is written as an id."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _version(answer: dict[str, Any]) -> object:
    """Number of the version that answers now."""
    return answer.get("version", answer.get("n", "?"))

"""The command that turns one file of Python into a running API, or into its next version."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.client.apis import find_api, path_of
from gateway.cli.client.failures import InputError, reporting
from gateway.cli.client.output import AsJson, progress, show, show_json, show_pairs
from gateway.cli.client.server import BUILD_SECONDS, unlike_sandgate
from gateway.cli.client.session import Session, signed_in


def deploy(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="One .py file.")
    ],
    name: Annotated[str | None, typer.Option(help="Of a new API. [the file's name]")] = None,
    api: Annotated[
        str | None,
        typer.Option(help="Deploy a new version of this API: id, slug or name."),
    ] = None,
    description: Annotated[str | None, typer.Option(help="Of a new API.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run one file of Python as an API; prints where it answers and a command that calls it."""
    with reporting(as_json), signed_in() as session:
        if api is not None and (name is not None or description is not None):
            raise InputError("--name and --description are for a new API", "Leave out --api.")
        code = _code_of(file)
        if api is None:
            answer = _create(session, file, code, name, description, as_json)
        else:
            answer = _add_version(session, api, code, as_json)
        show_deployed(answer, as_json)


def show_deployed(answer: dict[str, Any], as_json: bool) -> None:
    """Where it answers and how to call it. `Any`: the answer's JSON."""
    answer.setdefault("curl", _curl(answer))
    if as_json:
        show_json(answer)
    else:
        _show(answer)


def _create(
    session: Session,
    file: Path,
    code: str,
    name: str | None,
    description: str | None,
    as_json: bool,
) -> dict[str, Any]:
    body = {"name": name or file.stem, "code": code}
    if description is not None:
        body["description"] = description
    return create_api(session, body, as_json)


def create_api(session: Session, body: dict[str, str], as_json: bool) -> dict[str, Any]:
    """Have a new API made; what is known of it. `Any`: its JSON."""
    with progress(f"Building {body['name']}", as_json):
        answer = session.call("POST", "/api/apis", body, BUILD_SECONDS)
    return {"name": body["name"], **answer, "endpoint_url": _absolute(session, answer)}


def _add_version(session: Session, api: str, code: str, as_json: bool) -> dict[str, Any]:
    found = find_api(session, api)
    with progress(f"Building {found.get('name')}", as_json):
        answer = session.call(
            "POST", path_of(found, "versions"), {"code": code, "deploy": True}, BUILD_SECONDS
        )
    known = {name: found.get(name) for name in ("name", "slug", "status", "endpoint_url")}
    merged = {**known, **answer, "api_id": found["id"]}
    return {**merged, "endpoint_url": _absolute(session, merged)}


def _absolute(session: Session, answer: dict[str, Any]) -> str:
    """Where it answers; a server that sends a path means itself."""
    endpoint = str(answer.get("endpoint_url") or "")
    if not endpoint:
        raise unlike_sandgate(session.url)
    return session.url + endpoint if endpoint.startswith("/") else endpoint


def _curl(answer: dict[str, Any]) -> str:
    """A command to copy; a key that is not shown again stands in it as a variable."""
    key = answer.get("api_key") or "$SANDGATE_KEY"
    return f'curl -i -H "Authorization: Bearer {key}" {answer["endpoint_url"]}'


def _show(answer: dict[str, Any]) -> None:
    show(f"{answer.get('name')} version {answer.get('version')} is {answer.get('status')}.")
    pairs = [("Endpoint", str(answer["endpoint_url"]))]
    if answer.get("api_key"):
        pairs.append(("Key", f"{answer['api_key']}  (shown only this once)"))
    packages = answer.get("packages")
    if isinstance(packages, list) and packages:
        pairs.append(("Packages", " ".join(map(str, packages))))
    show_pairs([*pairs, ("Try it", str(answer["curl"]))])


def _code_of(file: Path) -> str:
    """The file's text as it stands, without a byte order mark."""
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text", "Save it as UTF-8.") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror})") from error

"""The command that takes an API away as a project."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.client.apis import ApiArgument, find_api, path_of
from gateway.cli.client.failures import InputError, reporting
from gateway.cli.client.output import AsJson, show, show_json
from gateway.cli.client.session import signed_in


def export(
    api: ApiArgument,
    version: Annotated[
        int | None, typer.Option(min=1, help="Number of a version. [the one that answers]")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write. [SLUG.zip]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write an API as a ZIP: a project with tests, clients and a Dockerfile that runs anywhere."""
    with reporting(as_json), signed_in() as session:
        found = find_api(session, api)
        file = output or Path(f"{Path(str(found.get('slug') or found['id'])).name}.zip")
        if file.exists() and not force:
            raise InputError(f"{file} is there already", "Name another with -o, or say --force.")
        query = "" if version is None else f"?version={version}"
        content = session.content(path_of(found, "export") + query)
        try:
            file.write_bytes(content)
        except OSError as error:
            raise InputError(f"{file} cannot be written ({error.strerror})") from error
        if as_json:
            show_json({"id": found["id"], "file": str(file), "bytes": len(content)})
        else:
            show(f"Wrote {file}; its README.md says how to run it.")

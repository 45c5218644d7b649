"""Commands about who is signed in: login, whoami, logout."""

import json
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.client.failures import InputError, reporting
from gateway.cli.client.output import AsJson, show, show_json
from gateway.cli.client.server import checked_url, is_plain_and_remote
from gateway.cli.client.session import sign_in, sign_out, signed_in

DEFAULT_URL = "http://127.0.0.1:8000"


def login(
    url: Annotated[
        str | None,
        typer.Option(envvar="SANDGATE_URL", help=f"Address of the server. [{DEFAULT_URL}]"),
    ] = None,
    email: Annotated[str | None, typer.Option(help="E-mail address; asked for if missing.")] = None,
    password: Annotated[str | None, typer.Option(help="Better left out: asked for then.")] = None,
    code: Annotated[
        str | None, typer.Option(help="Of your second factor; asked for if needed.")
    ] = None,
    first_run: Annotated[
        bool, typer.Option("--first-run", help="As the admin that the first start made here.")
    ] = False,
    data_dir: Annotated[
        Path, typer.Option(envvar="SANDGATE_DATA_DIR", help="Where --first-run looks.")
    ] = Path(".sandgate"),
    as_json: AsJson = False,
) -> None:
    """Sign in; later commands use this session."""
    with reporting(as_json):
        if first_run:
            if email or password:
                raise InputError("--first-run brings its own e-mail and password")
            made = _first_run(data_dir)
            url, email, password = url or made["base_url"], *_account(made)
        address = checked_url(url or DEFAULT_URL)
        if is_plain_and_remote(address):
            typer.echo("sandgate: the password travels unencrypted; use https.", err=True)
        email = email or _asked("E-mail", hide=False)
        password = password or _asked("Password", hide=True)
        credentials = sign_in(
            address,
            email,
            password,
            lambda factor: code or _asked(f"Code of {factor}", hide=False),
        )
        if as_json:
            show_json({"url": credentials.url, "email": credentials.email})
        else:
            show(f"Signed in to {credentials.url} as {credentials.email}.")


def whoami(as_json: AsJson = False) -> None:
    """Say who is signed in, and where."""
    with reporting(as_json), signed_in() as session:
        user = session.call("GET", "/auth/v1/user")
        if as_json:
            show_json({"url": session.url, "id": user.get("id"), "email": user.get("email")})
        else:
            show(f"{user.get('email')} at {session.url}")


def logout(as_json: AsJson = False) -> None:
    """End the session of this machine."""
    with reporting(as_json):
        is_known = sign_out()
        if as_json:
            show_json({"signed_in": False, "ended_on_server": is_known})
            return
        show("Signed out.")
        if not is_known:
            typer.echo("sandgate: the server could not be told; it will time out there.", err=True)


def _first_run(data_dir: Path) -> dict[str, str]:
    path = data_dir / "first-run.json"
    try:
        made = json.loads(path.read_text())
        return {name: str(made[name]) for name in ("base_url", "admin_email", "admin_password")}
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror})",
            "Start the server once with `sandgate serve`, or name its folder with --data-dir.",
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not what the first start wrote", "Use --email and --password."
        ) from error


def _account(made: dict[str, str]) -> tuple[str, str]:
    return made["admin_email"], made["admin_password"]


def _asked(question: str, *, hide: bool) -> str:
    """An answer typed in; the question goes to stderr, stdout is for results."""
    try:
        return str(typer.prompt(question, hide_input=hide, err=True))
    except typer.Abort as error:
        option = f"--{question.split()[0].lower().replace('-', '')}"
        raise InputError(f"{question} is missing", f"Give it with {option}.") from error

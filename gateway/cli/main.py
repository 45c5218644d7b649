"""The `sandgate` command: one function a sub-command, each failure one clear line.

Commands import what they need when they run: the gateway and the worker are started through
here as well, and each part left out is time a restart does not take.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from gateway.cli import client, upkeep
from gateway.cli.failures import CommandError
from gateway.errors import SandgateError
from gateway.settings import Settings

app = typer.Typer(
    name="sandgate",
    help="One file of Python becomes a running, limited, metered HTTP API.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
client.register(app)


def settings() -> Settings:
    """Settings, or a line for each variable that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        for problem in error.errors():
            name = str(problem["loc"][0]).upper() if problem["loc"] else "settings"
            print(f"sandgate: {name}: {problem['msg']}", file=sys.stderr)
        raise typer.Exit(1) from error


def run(action: Callable[[], Awaitable[None]]) -> None:
    """Run to the end; an expected failure is one line and exit status 1."""

    async def main() -> None:
        await action()

    try:
        asyncio.run(main())
    except (CommandError, SandgateError) as error:
        print(f"sandgate: {getattr(error, 'detail', error)}", file=sys.stderr)
        raise typer.Exit(1) from error


@app.command("serve")
def serve_command(
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="gateway processes; several need REDIS_URL"),
    ] = None,
) -> None:
    """Start everything on this machine; Ctrl-C stops it. Settings come from the environment.

    SIGHUP replaces the gateway processes one by one, without a failed call.
    """
    from gateway.cli.serve import serve

    chosen = settings()
    if workers is not None:
        chosen = chosen.model_copy(update={"gateway_workers": workers})
    run(lambda: serve(chosen))


@app.command("gateway")
def gateway_command(
    fd: Annotated[int | None, typer.Option(help="descriptor of the listener", hidden=True)] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            help="directory of the sockets, when it is not the data directory's own",
            readable=False,
        ),
    ] = None,
    after: Annotated[
        int | None, typer.Option(help="process whose end to wait for", hidden=True)
    ] = None,
) -> None:
    """One gateway alone; `sandgate serve` has one already."""
    from gateway.app import run_gateway
    from gateway.cli.listener import open_listener
    from sandbox.paths import runtime_dir

    chosen = settings()

    async def action() -> None:
        nonlocal fd
        if fd is None:
            fd = open_listener(chosen.gateway_host, chosen.gateway_port).detach()

    run(action)
    assert fd is not None
    run_gateway(chosen, fd, run_dir or runtime_dir(chosen.data_dir), after)


@app.command("manager")
def manager_command(
    run_dir: Annotated[
        Path | None,
        typer.Option(
            help="directory of the sockets, when it is not the data directory's own",
            readable=False,
        ),
    ] = None,
    client_uid: Annotated[
        list[int] | None, typer.Option(help="user whose gateway may connect, when not ours")
    ] = None,
) -> None:
    """The sandbox manager alone, which holds the rights over containers; `serve` has one."""
    from gateway.cli.manager import run_manager

    run_manager(settings(), run_dir, client_uid or ())


@app.command("worker")
def worker_command(
    run_dir: Annotated[
        Path | None,
        typer.Option(help="directory in which to serve sandboxes their data", readable=False),
    ] = None,
) -> None:
    """The worker alone, which stores usage and keeps house; `sandgate serve` has one already."""
    from gateway.worker import run_worker

    run_worker(settings(), run_dir)


@app.command("door")
def door_command(
    run_dir: Annotated[
        Path | None,
        typer.Option(help="directory of the sockets, when it is not the data directory's own"),
    ] = None,
    client_uid: Annotated[
        list[int] | None, typer.Option(help="user whose manager may connect, when not ours")
    ] = None,
) -> None:
    """The egress door alone, the only way out of sandboxes; `sandgate serve` has one already."""
    from gateway.cli.door import run_door

    run_door(settings(), run_dir, client_uid or ())


@app.command("migrate")
def migrate_command() -> None:
    """Bring the database to the newest schema; harmless when it already is.

    With DATABASE_URL that of a Supabase project, else the embedded one. `supabase db push` does
    the same, and either finds nothing to do after the other.
    """
    from gateway.cli import admin
    from gateway.cli.files import make_data_dir

    chosen = settings()

    async def action() -> None:
        if chosen.database_url is not None:
            applied = await admin.migrate_at(chosen.database_url.get_secret_value())
        else:
            make_data_dir(chosen.data_dir)
            applied = await admin.migrate_now(chosen)
        print("\n".join(f"applied {name}" for name in applied) or "nothing to do")

    run(action)


@app.command("create-admin")
def create_admin_command(
    email: Annotated[str, typer.Argument(help="e-mail address of the admin")],
    password: Annotated[
        str,
        typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, help="at least 8"),
    ],
) -> None:
    """Make an admin, or make an existing person one and set the password."""
    from gateway.cli import admin
    from gateway.cli.files import make_data_dir

    chosen = settings()

    async def action() -> None:
        make_data_dir(chosen.data_dir)
        async with admin.people(chosen) as create_admin:
            await create_admin(email, password)
        print(f"{email} is an admin")

    run(action)


@app.command("reconcile")
def reconcile_command(
    days: Annotated[int, typer.Option(min=1, max=400, help="calls of so many days")] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable")] = False,
) -> None:
    """Prove that every answered call is recorded and paid exactly once; 1 when it is not."""
    from gateway.cli.reconcile import examine, render

    chosen = settings()

    async def action() -> None:
        found = await examine(chosen, days)
        print(json.dumps(found.to_json(), indent=2) if as_json else render(found))
        raise typer.Exit(0 if found.is_clean else 1)

    run(action)


@app.command("doctor")
def doctor_command(
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable")] = False,
    escape: Annotated[
        bool, typer.Option("--escape", help="run hostile code in every tier and see what holds")
    ] = False,
) -> None:
    """Say for each part of this machine: ok, or what to do."""
    chosen = settings()
    if escape:
        raise typer.Exit(_doctor_escape(chosen, as_json=as_json))
    from gateway.cli.doctor import examine, render

    checks = asyncio.run(examine(chosen))
    if as_json:
        print(json.dumps({"checks": [check.to_json() for check in checks]}, indent=2))
    else:
        print(render(checks))
    raise typer.Exit(0 if all(check.ok or not check.needed for check in checks) else 1)


def _doctor_escape(chosen: Settings, *, as_json: bool) -> int:
    """Exit status: 1 when something escaped, or nothing could be tried."""
    from gateway.cli.escape import exit_status, render, try_escape

    reports = asyncio.run(try_escape(chosen))
    if as_json:
        print(json.dumps({"tiers": [report.to_json() for report in reports]}, indent=2))
    else:
        print(render(reports, colour=sys.stdout.isatty()))
    return exit_status(reports)


upkeep.register(app, settings, run)


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()

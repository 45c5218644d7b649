"""The commands that look after an installation as a whole."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from gateway.cli.rotated import Rotated
from gateway.settings import Settings

Run = Callable[[Callable[[], Awaitable[None]]], None]


def say(text: str) -> None:
    """One line of progress."""
    print(text, flush=True)


def register(app: typer.Typer, settings: Callable[[], Settings], run: Run) -> None:
    """Add every command of this kind."""

    def run_here(action: Callable[[], Awaitable[None]]) -> None:
        async def checked() -> None:
            require_own_database(settings())
            await action()

        run(checked)

    _register_backup(app, settings, run_here)
    _register_tenant(app, settings, run)
    _register_rotation(app, settings, run)


def require_own_database(chosen: Settings) -> None:
    """ProjectError where data is in a project: an empty database of ours would be looked after."""
    from gateway.store.project import ProjectError, project_of

    if project_of(chosen) is not None:
        raise ProjectError(
            "this command looks after the embedded database, and SUPABASE_URL is set. The project "
            "saves itself: its daily backups, or supabase db dump -f FILE, and psql -f FILE to "
            "put it back. Files in a bucket and secrets.json of the data directory are saved apart"
        )


def _register_backup(app: typer.Typer, settings: Callable[[], Settings], run: Run) -> None:
    @app.command("backup")
    def backup_command(
        file: Annotated[Path, typer.Argument(help="the file to write, 0600")],
        without_secrets: Annotated[
            bool,
            typer.Option("--without-secrets", help="leave out secrets.json and first-run.json"),
        ] = False,
        overwrite: Annotated[
            bool, typer.Option("--overwrite", help="take the place of an older file")
        ] = False,
    ) -> None:
        """Save database, journal, uploads and secrets in one file, whether Sandgate runs or not.

        The file is of one moment and appears when it is whole. With the secrets in it, whoever
        has it can sign in as anybody: keep it as you keep them.
        """
        from gateway.cli.backup import backup, size_text

        chosen = settings()

        async def action() -> None:
            await backup(
                chosen, file, with_secrets=not without_secrets, overwrite=overwrite, say=say
            )
            say(f"{file} is whole, {size_text(file.stat().st_size)}")
            say(f"put it onto another machine with: sandgate restore {file.name}")

        run(action)

    @app.command("restore")
    def restore_command(
        file: Annotated[Path, typer.Argument(help="what sandgate backup wrote")],
        replace: Annotated[
            bool,
            typer.Option("--replace", help="set aside what is there; Sandgate must be stopped"),
        ] = False,
    ) -> None:
        """Put a backup into an empty data directory. A damaged file is refused before anything."""
        from gateway.cli.restore import restore

        chosen = settings()
        run(lambda: restore(chosen, file, replace=replace, say=say))


def _register_tenant(app: typer.Typer, settings: Callable[[], Settings], run: Run) -> None:
    @app.command("export-tenant")
    def export_tenant_command(
        tenant: Annotated[UUID, typer.Argument(help="id of the tenant")],
        file: Annotated[Path, typer.Argument(help="the ZIP to write, 0600")],
        overwrite: Annotated[
            bool, typer.Option("--overwrite", help="take the place of an older file")
        ] = False,
    ) -> None:
        """Write everything of a tenant into one ZIP of JSON, CSV and code, of one moment."""
        from gateway.cli.tenant_data import export_tenant

        chosen = settings()

        async def action() -> None:
            await export_tenant(chosen, tenant, file, overwrite=overwrite, say=say)
            say(f"{file} is whole")

        run(action)

    @app.command("delete-tenant")
    def delete_tenant_command(
        tenant: Annotated[UUID, typer.Argument(help="id of the tenant")],
        person: Annotated[
            bool,
            typer.Option("--person", help="a personal tenant, together with its person"),
        ] = False,
        confirm: Annotated[
            str | None, typer.Option(help="the tenant's name, instead of being asked for it")
        ] = None,
    ) -> None:
        """Delete a tenant with its APIs, keys and data; says first what goes and what is kept.

        Ledger, calls without paths and the audit log stay for the books. When it was cut off,
        repeat it.
        """
        from gateway.cli.tenant_data import delete_tenant

        def ask(question: str) -> str:
            return confirm if confirm is not None else str(typer.prompt(question))

        chosen = settings()
        run(lambda: delete_tenant(chosen, tenant, person=person, confirm=ask, say=say))


def _register_rotation(app: typer.Typer, settings: Callable[[], Settings], run: Run) -> None:
    @app.command("rotate-secret")
    def rotate_secret_command(
        which: Annotated[Rotated, typer.Argument(help="which secret gets another value")],
        overlap: Annotated[
            float | None,
            typer.Option(
                min=0,
                max=31_536_000,
                help="seconds in which both are good; a day for admin-key, an hour for "
                "token-key, 600 for secrets-key; key-hash has none",
            ),
        ] = None,
        end: Annotated[
            bool, typer.Option("--forget", help="end the overlap of an earlier rotation now")
        ] = False,
        force: Annotated[
            bool,
            typer.Option("--force", help="with --forget of key-hash: keys that need it end, too"),
        ] = False,
    ) -> None:
        """Give a secret of the installation another value while everything goes on.

        When it was cut off, repeat it: it goes on from there, and both values are good until then.
        """
        from gateway.cli import rotation

        chosen = settings()

        async def action() -> None:
            if which in (Rotated.SIGNING, Rotated.SECRETS_KEY):
                require_own_database(chosen)
            if end:
                await rotation.end(chosen, which, say, force=force)
            else:
                await rotation.rotate(chosen, which, overlap, say)

        run(action)

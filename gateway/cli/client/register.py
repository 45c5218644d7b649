"""Puts the client's commands on the `sandgate` command."""

import typer

from gateway.cli.client import (
    account,
    admin_log,
    apis,
    deploy,
    export,
    generate,
    isolation,
    money,
    people,
    settings,
    templates,
)
from gateway.cli.client.invite import invite_app
from gateway.cli.client.keys import keys_app
from gateway.cli.client.members import members_app
from gateway.cli.client.secrets import secret_app
from gateway.cli.client.tenants import tenants_app


def register(app: typer.Typer) -> None:
    """Add every command that talks to a server."""
    app.command("login")(account.login)
    app.command("whoami")(account.whoami)
    app.command("logout")(account.logout)
    app.command("deploy")(deploy.deploy)
    app.command("generate")(generate.generate)
    app.command("edit")(generate.edit)
    app.command("templates")(templates.templates)
    app.command("create")(templates.create)
    app.command("export")(export.export)
    app.command("apis")(apis.list_apis)
    app.add_typer(keys_app, name="keys")
    app.add_typer(admin_log.app, name="admin")
    app.add_typer(secret_app, name="secret")
    app.add_typer(tenants_app, name="tenants")
    app.add_typer(members_app, name="members")
    app.add_typer(invite_app, name="invite")
    app.command("egress")(isolation.egress)
    app.command("sandboxes")(isolation.sandboxes)
    app.command("settings")(settings.settings)
    app.command("credit")(money.credit)
    app.command("profile")(people.profile)
    app.add_typer(people.feedback_app, name="feedback")
    app.command("uploads")(people.uploads)
    app.command("pause")(apis.pause)
    app.command("resume")(apis.resume)
    app.command("rollback")(apis.rollback)
    app.command("rm")(apis.remove)
    app.command("logs")(apis.logs)

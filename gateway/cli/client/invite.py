"""Commands about invitations to a tenant: create, list, revoke, accept."""

from enum import StrEnum
from typing import Annotated
from urllib.parse import quote

import typer

from gateway.cli.client.failures import InputError, reporting
from gateway.cli.client.output import AsJson, show, show_json, show_pairs, show_table
from gateway.cli.client.session import signed_in
from gateway.cli.client.tenants import TenantArgument, tenant_path


class InvitedRole(StrEnum):
    """Roles that can be offered; owners are made of members."""

    ADMIN = "admin"
    DEVELOPER = "developer"
    VIEWER = "viewer"


invite_app = typer.Typer(help="Invite people to a tenant by e-mail.", no_args_is_help=True)


@invite_app.command("create")
def create_invitation(
    tenant: TenantArgument,
    email: Annotated[str, typer.Argument(help="Only this address can accept.")],
    role: Annotated[InvitedRole, typer.Option(help="What they may do.")] = InvitedRole.DEVELOPER,
    days: Annotated[int, typer.Option(min=1, max=30, help="How long it can be accepted.")] = 7,
    as_json: AsJson = False,
) -> None:
    """Invite somebody; an invitation sent to the same address before ends."""
    with reporting(as_json), signed_in() as session:
        answer = session.call(
            "POST",
            tenant_path(session, tenant, "invitations"),
            {"email": email, "role": role.value, "days": days},
        )
        if as_json:
            show_json(answer)
            return
        members = ("email", "role", "expires_at", "id", "token")
        show_pairs([(member.replace("_", " "), str(answer.get(member))) for member in members])
        typer.echo(
            "It was mailed."
            if answer.get("mailed")
            else "No mail was sent: hand the token on yourself, it is shown only this once.",
            err=True,
        )


@invite_app.command("list")
def list_invitations(tenant: TenantArgument, as_json: AsJson = False) -> None:
    """List the invitations of a tenant, newest first."""
    with reporting(as_json), signed_in() as session:
        items = session.items(tenant_path(session, tenant, "invitations"))
        if as_json:
            show_json({"items": items})
        elif not items:
            show("Nobody was invited. Invite somebody with `sandgate invite create TENANT E-MAIL`.")
        else:
            columns = ("email", "role", "status", "expires_at", "id")
            show_table(
                ["E-MAIL", "ROLE", "STATUS", "EXPIRES", "ID"],
                [[invitation.get(column) for column in columns] for invitation in items],
            )


@invite_app.command("revoke")
def revoke_invitation(
    tenant: TenantArgument,
    invitation: Annotated[
        str, typer.Argument(metavar="INVITATION_ID", help="Id from `sandgate invite list`.")
    ],
    as_json: AsJson = False,
) -> None:
    """Take an invitation back; nobody can accept it any more."""
    with reporting(as_json), signed_in() as session:
        path = tenant_path(session, tenant, "invitations", quote(invitation, safe=""))
        session.call("DELETE", path)
        if as_json:
            show_json({"id": invitation, "revoked": True})
        else:
            show(f"Revoked {invitation}.")


@invite_app.command("accept")
def accept_invitation(
    token: Annotated[
        str | None, typer.Argument(help="From the invitation; asked for when missing.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Become a member, as the person of the address that was invited."""
    with reporting(as_json), signed_in() as session:
        answer = session.call(
            "POST", "/api/tenants/invitations/accept", {"token": token or _asked()}
        )
        if as_json:
            show_json(answer)
        else:
            show(f"You belong to {answer.get('name')} now, as {answer.get('role')}.")


def _asked() -> str:
    """Typed in, so that it is in no history of commands."""
    try:
        return str(typer.prompt("Token", hide_input=True, err=True)).strip()
    except typer.Abort as error:
        raise InputError("The token is missing", "Give it as an argument.") from error

"""Commands about the members of a tenant: list, change roles, take out, add."""

from enum import StrEnum
from typing import Annotated
from urllib.parse import quote

import typer

from gateway.cli.client.failures import reporting
from gateway.cli.client.output import AsJson, show, show_json, show_table
from gateway.cli.client.session import signed_in
from gateway.cli.client.tenants import (
    MemberArgument,
    TenantArgument,
    Yes,
    confirmed,
    find_member,
    tenant_path,
)


class RoleName(StrEnum):
    """Roles, strongest first."""

    OWNER = "owner"
    ADMIN = "admin"
    DEVELOPER = "developer"
    VIEWER = "viewer"


members_app = typer.Typer(help="Who belongs to a tenant, in which role.", no_args_is_help=True)


@members_app.command("list")
def list_members(tenant: TenantArgument, as_json: AsJson = False) -> None:
    """List the members of a tenant, owners first."""
    with reporting(as_json), signed_in() as session:
        items = session.items(tenant_path(session, tenant, "members"))
        if as_json:
            show_json({"items": items})
            return
        columns = ("email", "role", "created_at", "user_id")
        show_table(
            ["E-MAIL", "ROLE", "SINCE", "ID"],
            [[member.get(column) for column in columns] for member in items],
        )


@members_app.command("role")
def change_member(
    tenant: TenantArgument,
    member: MemberArgument,
    role: Annotated[RoleName, typer.Argument(help="What they may do from now on.")],
    as_json: AsJson = False,
) -> None:
    """Give a member another role; the last owner keeps theirs."""
    with reporting(as_json), signed_in() as session:
        path = tenant_path(session, tenant)
        found = find_member(session, path, member)
        answer = session.call("PATCH", _member(path, found["user_id"]), {"role": role.value})
        if as_json:
            show_json(answer)
        else:
            show(f"{found.get('email')} is {answer.get('role')} now.")


@members_app.command("remove")
def remove_member(
    tenant: TenantArgument, member: MemberArgument, yes: Yes = False, as_json: AsJson = False
) -> None:
    """Take a member out; APIs and keys they made stay the tenant's."""
    with reporting(as_json), signed_in() as session:
        path = tenant_path(session, tenant)
        found = find_member(session, path, member)
        confirmed(f"Take {found.get('email')} out?", yes, as_json, "Nobody was taken out")
        session.call("DELETE", _member(path, found["user_id"]))
        if as_json:
            show_json({"user_id": found["user_id"], "removed": True})
        else:
            show(f"{found.get('email')} is no member any more.")


@members_app.command("add")
def add_member(
    tenant: TenantArgument,
    user: Annotated[str, typer.Argument(metavar="USER_ID", help="Id of the person.")],
    role: Annotated[RoleName, typer.Option(help="What they may do.")] = RoleName.DEVELOPER,
    as_json: AsJson = False,
) -> None:
    """For administrators: make a person a member unasked. Others use `sandgate invite`."""
    with reporting(as_json), signed_in() as session:
        path = tenant_path(session, tenant, "members")
        answer = session.call("POST", path, {"user_id": user, "role": role.value})
        if as_json:
            show_json(answer)
        else:
            show(f"{answer.get('email')} is {answer.get('role')} now.")


def _member(path: str, user_id: object) -> str:
    return f"{path}/members/{quote(str(user_id), safe='')}"

"""Commands about tenants: make, list, look at, rename, hand over, leave, delete."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from gateway.cli.client.apis import is_uuid
from gateway.cli.client.failures import InputError, RefusedError, reporting
from gateway.cli.client.output import AsJson, show, show_json, show_pairs, show_table
from gateway.cli.client.session import Session, signed_in

TenantArgument = Annotated[
    str, typer.Argument(metavar="TENANT", help="Id, or name when only one is called so.")
]
MemberArgument = Annotated[str, typer.Argument(metavar="MEMBER", help="E-mail address or id.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

tenants_app = typer.Typer(help="Tenants: what owns APIs and keys.", no_args_is_help=True)


def tenant_path(session: Session, wanted: str, *more: str) -> str:
    """Path of a tenant's resource."""
    return _path(find_tenant(session, wanted), *more)


def find_tenant(session: Session, wanted: str) -> dict[str, Any]:
    """One of your tenants by its id, else by its name. `Any`: its JSON."""
    known = session.call("GET", "/api/tenants").get("items", [])
    for member in ("id", "name"):
        found = [tenant for tenant in known if tenant.get(member) == wanted]
        if len(found) > 1:
            ids = ", ".join(str(tenant["id"]) for tenant in found)
            raise InputError(f"{wanted} is the name of several tenants", f"Use an id: {ids}.")
        if found:
            return dict(found[0])
    if is_uuid(wanted):  # administrators may name any
        return session.call("GET", f"/api/tenants/{quote(wanted, safe='')}")
    raise RefusedError(f"There is no tenant {wanted}", "`sandgate tenants list` shows yours.")


def find_member(session: Session, path: str, wanted: str) -> dict[str, Any]:
    """The member with this id or address. `Any`: JSON."""
    for member in session.items(f"{path}/members"):
        if wanted.lower() in (member.get("user_id"), str(member.get("email")).lower()):
            return member
    raise RefusedError(f"{wanted} is no member", "`sandgate members list TENANT` shows who is.")


def confirmed(question: str, yes: bool, as_json: bool, refusal: str) -> None:
    """Go on only when somebody is sure."""
    try:
        is_sure = yes or (not as_json and typer.confirm(question, err=True))
    except typer.Abort:
        is_sure = False
    if not is_sure:
        raise InputError(refusal, "Confirm, or say --yes.")


@tenants_app.command("list")
def list_tenants(as_json: AsJson = False) -> None:
    """List the tenants that you belong to, with your role."""
    with reporting(as_json), signed_in() as session:
        items = session.call("GET", "/api/tenants").get("items", [])
        if as_json:
            show_json({"items": items})
            return
        members = ("name", "role", "kind", "plan", "status", "id")
        show_table(
            [member.upper() for member in members],
            [[tenant.get(member) for member in members] for tenant in items],
        )


@tenants_app.command("create")
def create_tenant(
    name: Annotated[str, typer.Argument(help="What it is called.")], as_json: AsJson = False
) -> None:
    """Make a tenant; you are its owner."""
    with reporting(as_json), signed_in() as session:
        _show(session.call("POST", "/api/tenants", {"name": name}), as_json)


@tenants_app.command("show")
def show_tenant(tenant: TenantArgument, as_json: AsJson = False) -> None:
    """Show one tenant."""
    with reporting(as_json), signed_in() as session:
        _show(session.call("GET", tenant_path(session, tenant)), as_json)


@tenants_app.command("rename")
def rename_tenant(
    tenant: TenantArgument,
    name: Annotated[str, typer.Argument(help="The new name.")],
    as_json: AsJson = False,
) -> None:
    """Give a tenant another name."""
    with reporting(as_json), signed_in() as session:
        _show(session.call("PATCH", tenant_path(session, tenant), {"name": name}), as_json)


@tenants_app.command("usage")
def tenant_usage(
    tenant: TenantArgument,
    days: Annotated[int, typer.Option(min=1, max=31, help="Calls of so many days.")] = 7,
    as_json: AsJson = False,
) -> None:
    """Show a tenant's limits, what is left of them, and its calls by day."""
    with reporting(as_json), signed_in() as session:
        answer = session.call("GET", tenant_path(session, tenant, f"usage?days={days}"))
        if as_json:
            show_json(answer)
            return
        windows = ("window", "limit", "used", "remaining")
        show_table(
            [column.upper() for column in windows],
            [[window.get(column) for column in windows] for window in answer.get("windows", [])],
        )
        columns = ("day", "calls_made", "calls_received", "errors")
        rows = [[day.get(column) for column in columns] for day in answer.get("days", [])]
        if rows:
            show("")
            show_table(["DAY", "CALLS MADE", "CALLS RECEIVED", "ERRORS"], rows)


@tenants_app.command("transfer")
def transfer_tenant(
    tenant: TenantArgument, member: MemberArgument, yes: Yes = False, as_json: AsJson = False
) -> None:
    """Make another member the owner; you stay as an admin."""
    with reporting(as_json), signed_in() as session:
        found = find_tenant(session, tenant)
        heir = find_member(session, _path(found), member)
        question = f"Hand {found.get('name')} over to {heir.get('email')}?"
        confirmed(question, yes, as_json, "Nothing was handed over")
        answer = session.call("POST", _path(found, "transfer"), {"user_id": heir.get("user_id")})
        if as_json:
            show_json(answer)
        else:
            show(f"{heir.get('email')} owns {found.get('name')} now.")


@tenants_app.command("leave")
def leave_tenant(tenant: TenantArgument, as_json: AsJson = False) -> None:
    """Be no member of a tenant any more."""
    with reporting(as_json), signed_in() as session:
        found = find_tenant(session, tenant)
        session.call("POST", _path(found, "leave"))
        if as_json:
            show_json({"id": found["id"], "left": True})
        else:
            show(f"You left {found.get('name')}.")


@tenants_app.command("delete")
def delete_tenant(tenant: TenantArgument, yes: Yes = False, as_json: AsJson = False) -> None:
    """Remove a tenant with its APIs and keys; what was called and paid stays recorded."""
    with reporting(as_json), signed_in() as session:
        found = find_tenant(session, tenant)
        question = f"Remove {found.get('name')} ({found['id']}) with all its APIs and keys?"
        confirmed(question, yes, as_json, "Nothing was removed")
        session.call("DELETE", _path(found))
        if as_json:
            show_json({"id": found["id"], "removed": True})
        else:
            show(f"Removed {found.get('name')}.")


def _path(tenant: Mapping[str, Any], *more: str) -> str:
    return "/".join(["/api/tenants", quote(str(tenant["id"]), safe=""), *more])


def _show(tenant: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        show_json(tenant)
        return
    members = ("name", "id", "kind", "role", "plan", "status", "owner_id", "created_at")
    show_pairs([(member.replace("_", " "), str(tenant.get(member))) for member in members])

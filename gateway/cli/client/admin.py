"""Commands of administrators about people and tenants, and what they may do to them."""

from typing import Annotated, Any
from urllib.parse import quote, urlencode
from uuid import UUID

import typer

from gateway.cli.client.failures import InputError, reporting
from gateway.cli.client.output import AsJson, show, show_json, show_pairs, show_table
from gateway.cli.client.server import unlike_sandgate
from gateway.cli.client.session import Session, signed_in

Why = Annotated[str, typer.Option("--reason", help="Why; it is in the audit log.")]
Query = Annotated[str, typer.Argument(metavar="[TEXT]", help="Part of it, or a whole id.")]
Prefix = Annotated[bool, typer.Option("--prefix", help="TEXT is how it begins; found faster.")]
Most = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="So many at most.")]
UserArgument = Annotated[str, typer.Argument(metavar="USER", help="E-mail address or id.")]
TenantArgument = Annotated[str, typer.Argument(metavar="TENANT", help="Its id.")]

admin_app = typer.Typer(help="For administrators: people, tenants, audit log, kill switches.",
                        no_args_is_help=True)  # fmt: skip


@admin_app.command("users")
def users(
    text: Query = "", prefix: Prefix = False, limit: Most = 50, as_json: AsJson = False
) -> None:
    """Find people."""
    _list("/api/admin/users", text, prefix, limit, as_json, ("email", "is_admin", "id"))


@admin_app.command("tenants")
def tenants(
    text: Query = "", prefix: Prefix = False, limit: Most = 50, as_json: AsJson = False
) -> None:
    """Find tenants by their name or their owner's address."""
    shown = ("name", "owner_email", "plan", "status", "id")
    _list("/api/admin/tenants", text, prefix, limit, as_json, shown)


@admin_app.command("user")
def user(who: UserArgument, as_json: AsJson = False) -> None:
    """Show one person with tenants, APIs and usage; that you looked is recorded."""
    with reporting(as_json), signed_in() as session:
        found = session.call("GET", f"/api/admin/users/{_user_id(session, who)}")
        _show(found, ("id", "email", "is_admin"), as_json)
        if not as_json:
            _table(found, "tenants", ("name", "role", "plan", "status", "id"))
            _table(found, "apis", ("name", "status", "id"))


@admin_app.command("tenant")
def tenant(which: TenantArgument, as_json: AsJson = False) -> None:
    """Show one tenant with members, APIs and usage; that you looked is recorded."""
    with reporting(as_json), signed_in() as session:
        found = session.call("GET", f"/api/admin/tenants/{checked_id(which)}")
        shown = ("id", "name", "owner_email", "plan", "status", "suspended_reason")
        _show(found, shown, as_json)
        if not as_json:
            _table(found, "members", ("email", "role", "user_id"))
            _table(found, "apis", ("name", "status", "id"))


@admin_app.command("plan")
def plan(
    which: TenantArgument,
    name: Annotated[str, typer.Argument(metavar="PLAN", help="Like free or pro.")],
    reason: Why,
    as_json: AsJson = False,
) -> None:
    """Change the plan of a tenant; the next call already counts by it."""
    with reporting(as_json), signed_in() as session:
        path = f"/api/admin/tenants/{checked_id(which)}"
        changed = session.call(
            "PATCH", path, {"plan": name}, headers={"X-Audit-Reason": quote(reason)}
        )
        _show(changed, ("name", "plan"), as_json)


@admin_app.command("suspend")
def suspend(which: TenantArgument, reason: Why, as_json: AsJson = False) -> None:
    """Stop a tenant and everything of it; whoever tries is told the reason."""
    _act(f"/api/admin/tenants/{checked_id(which)}/suspend", reason, as_json)


@admin_app.command("restore")
def restore(which: TenantArgument, reason: Why, as_json: AsJson = False) -> None:
    """Let a suspended tenant go on as before."""
    _act(f"/api/admin/tenants/{checked_id(which)}/restore", reason, as_json)


@admin_app.command("set-admin")
def set_admin(
    who: UserArgument,
    reason: Why,
    remove: Annotated[bool, typer.Option("--remove", help="Take the rights away.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make somebody an administrator, or no more."""
    with reporting(as_json), signed_in() as session:
        path = f"/api/admin/users/{_user_id(session, who)}"
        changed = session.call("PATCH", path, {"is_admin": not remove, "reason": reason})
        _show(changed, ("email", "is_admin"), as_json)


@admin_app.command("create-tenant")
def create_tenant(
    name: Annotated[str, typer.Argument(help="Its name.")],
    owner: Annotated[str, typer.Option(help="E-mail address of its owner.")],
    plan: Annotated[str, typer.Option(help="Like free or pro.")] = "free",
    as_json: AsJson = False,
) -> None:
    """Make a team for somebody who is there already."""
    with reporting(as_json), signed_in() as session:
        body = {"name": name, "owner_email": owner, "plan": plan}
        made = session.call("POST", "/api/admin/tenants", body)
        _show(made, ("id", "name", "owner_email", "plan"), as_json)


@admin_app.command("create-key")
def create_key(
    which: TenantArgument,
    api: Annotated[list[str], typer.Option("--api", metavar="ID", help="An API that it opens.")],
    name: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key of any tenant; it is shown this once."""
    with reporting(as_json), signed_in() as session:
        body: dict[str, object] = {
            "tenant_id": checked_id(which),
            "api_ids": [*map(checked_id, api)],
        }
        if name is not None:
            body["name"] = name
        made = session.call("POST", "/api/admin/api-keys", body)
        _show(made, ("key", "id"), as_json)


@admin_app.command("impersonate")
def impersonate(
    who: UserArgument,
    reason: Why,
    minutes: Annotated[int, typer.Option(min=1, max=60, help="At most so long.")] = 15,
    as_json: AsJson = False,
) -> None:
    """Print a token that reads what somebody else can read, and changes nothing."""
    with reporting(as_json), signed_in() as session:
        path = f"/api/admin/users/{_user_id(session, who)}/impersonate"
        made = session.call("POST", path, {"reason": reason, "minutes": minutes})
        _show(made, ("email", "access_token", "expires_at", "id"), as_json)


@admin_app.command("end-impersonation")
def end_impersonation(
    which: Annotated[str, typer.Argument(metavar="ID", help="As `impersonate` printed it.")],
    as_json: AsJson = False,
) -> None:
    """End an impersonation before its time."""
    with reporting(as_json), signed_in() as session:
        session.call("DELETE", f"/api/admin/impersonations/{checked_id(which)}")
        show_json({"ended": which}) if as_json else show("Ended.")


def pages(
    session: Session, path: str, params: dict[str, str], limit: int, cursor: str
) -> list[dict[str, Any]]:
    """So many items of a list that is turned by key. `Any`: JSON."""
    found: list[dict[str, Any]] = []
    while len(found) < limit:
        asked = {**params, "limit": str(min(200, limit - len(found)))}
        page = session.call("GET", f"{path}?{urlencode(asked)}")
        if not isinstance(page.get("items"), list):
            raise unlike_sandgate(session.url)
        found += page["items"]
        if not page.get("next"):
            break
        params = {**params, cursor: str(page["next"])}
    return found


def checked_id(text: str) -> str:
    """It becomes part of a path."""
    try:
        return str(UUID(text))
    except ValueError as error:
        raise typer.BadParameter(f"{text} is no id") from error


def _list(
    path: str, text: str, prefix: bool, limit: int, as_json: bool, shown: tuple[str, ...]
) -> None:
    with reporting(as_json), signed_in() as session:
        params = {"q": text, "match": "prefix" if prefix else "contains"}
        items = pages(session, path, params, limit, "after")
        if as_json:
            show_json({"items": items})
        elif items:
            show_table(_header(shown), [[item.get(name) for name in shown] for item in items])
        else:
            show("Nothing found.")


def _act(path: str, reason: str, as_json: bool) -> None:
    with reporting(as_json), signed_in() as session:
        changed = session.call("POST", path, {"reason": reason})
        _show(changed, ("name", "status", "suspended_reason"), as_json)


def _user_id(session: Session, who: str) -> str:
    """The id itself, or that of the person with this address."""
    try:
        return str(UUID(who))
    except ValueError:
        params = {"q": who, "match": "prefix"}
        for item in pages(session, "/api/admin/users", params, 200, "after"):
            if str(item.get("email")).lower() == who.lower():
                return str(item["id"])
    raise InputError(f"Nobody has the address {who}", "Find people with `sandgate admin users`.")


def _show(found: dict[str, Any], names: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        show_json(found)
        return
    usage = found.get("usage")
    pairs = [
        (name.replace("_", " "), str(found[name])) for name in names if found.get(name) is not None
    ]
    if isinstance(usage, dict):
        pairs.append(("calls in 30 days", f"{usage.get('calls')} ({usage.get('errors')} errors)"))
    show_pairs(pairs)


def _table(found: dict[str, Any], member: str, names: tuple[str, ...]) -> None:
    items = found.get(member)
    if isinstance(items, list) and items:
        show("")
        show_table(_header(names), [[item.get(name) for name in names] for item in items])


def _header(names: tuple[str, ...]) -> list[str]:
    return [name.replace("_", " ").upper() for name in names]

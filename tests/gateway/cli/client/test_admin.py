"""Administration from the command line."""

import json
from pathlib import Path

import pytest
from fastapi.responses import JSONResponse, Response

from tests.support.client_command import Command
from tests.support.client_server import World, problem

ID = "5f0c1d52-8b0e-4c41-9d6c-0a0000000001"
API = "5f0c1d52-8b0e-4c41-9d6c-0a0000000002"
USER = {
    "id": ID,
    "email": "ada@example.org",
    "is_admin": False,
    "created_at": "2026-11-22T00:00:00+00:00",
}
TENANT = {
    "id": ID,
    "name": "Cats\x1b[2J",
    "owner_email": "ada@example.org",
    "plan": "free",
    "status": "suspended",
    "suspended_reason": "spam",
    "members": [{"email": "ada@example.org", "role": "owner", "user_id": ID}],
    "apis": [{"name": "facts", "status": "active", "id": API}],
    "usage": {"calls": 3, "errors": 1, "last_call_at": None},
}


def page(*items: object) -> JSONResponse:
    return JSONResponse({"items": list(items), "limit": 50, "next": None})


def test_people_are_found(signed_in: Command, world: World) -> None:
    world.answer = page(USER)
    assert "ada@example.org" in signed_in("admin", "users", "ada").stdout
    assert signed_in.json("admin", "users", "ada", "--prefix") == {"items": [USER]}
    assert world.requests[-1] == ("GET", "/api/admin/users")
    world.answer = page()
    assert "Nothing found" in signed_in("admin", "tenants").stdout


def test_somebody_is_named_by_address(signed_in: Command, world: World) -> None:
    world.answer = JSONResponse({**USER, "items": [USER], "next": None})
    result = signed_in("admin", "set-admin", "ADA@example.org", "--reason", "they joined")
    assert result.exit_code == 0, result.output
    assert world.requests[-1] == ("PATCH", f"/api/admin/users/{ID}")
    result = signed_in("admin", "user", "nobody@example.org")
    assert (result.exit_code, "Nobody has the address" in result.output) == (2, True)


def test_a_tenant_with_all_that_belongs_to_it(signed_in: Command, world: World) -> None:
    world.answer = JSONResponse(TENANT)
    text = signed_in("admin", "tenant", ID).stdout
    for shown in ("spam", "3 (1 errors)", "owner", "facts"):
        assert shown in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("arguments", "request_"),
    [
        (("suspend", ID, "--reason", "spam"), ("POST", f"/api/admin/tenants/{ID}/suspend")),
        (("restore", ID, "--reason", "sorry"), ("POST", f"/api/admin/tenants/{ID}/restore")),
        (("plan", ID, "pro", "--reason", "päid"), ("PATCH", f"/api/admin/tenants/{ID}")),
        (("create-tenant", "x", "--owner", "a@b.c"), ("POST", "/api/admin/tenants")),
        (("create-key", ID, "--api", API), ("POST", "/api/admin/api-keys")),
        (
            ("impersonate", ID, "--reason", "a ticket"),
            ("POST", f"/api/admin/users/{ID}/impersonate"),
        ),
        (("end-impersonation", ID), ("DELETE", f"/api/admin/impersonations/{ID}")),
        (("stop", "egress", "--reason", "leak"), ("PUT", "/api/admin/switches/egress")),
        (("start", "api", "--api", API, "--reason", "ok"), ("PUT", "/api/admin/switches/api")),
    ],
)
def test_what_is_asked_of_the_server(
    signed_in: Command, world: World, arguments: tuple[str, ...], request_: tuple[str, str]
) -> None:
    world.answer = JSONResponse({**TENANT, "items": []})
    result = signed_in("admin", *arguments)
    assert result.exit_code == 0, result.output
    assert world.requests[-1] == request_
    assert signed_in("admin", arguments[0], "--help").exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("tenant", "../keys"),
        ("suspend", ID),
        ("stop", "everything", "--reason", "x"),
        ("create-key", ID, "--api", "x"),
    ],
)
def test_what_makes_no_sense_is_not_sent(
    signed_in: Command, world: World, arguments: tuple[str, ...]
) -> None:
    before = len(world.requests)
    assert signed_in("admin", *arguments).exit_code == 2
    assert len(world.requests) == before


def test_what_is_stopped_is_shown(signed_in: Command, world: World) -> None:
    stop = {"switch": "egress", "api_id": None, "since": "s", "by": "b", "reason": "a leak"}
    world.answer = JSONResponse({"items": [stop]})
    assert "a leak" in signed_in("admin", "switches").stdout
    world.answer = JSONResponse({"items": []})
    assert "Nothing is stopped" in signed_in("admin", "switches").stdout


def test_the_audit_log_on_the_screen_and_as_a_file(
    signed_in: Command, world: World, tmp_path: Path
) -> None:
    entry = {"at": "2026", "actor": "ada", "action": "tenant.read", "target_id": ID}
    world.answer = page(entry)
    assert "tenant.read" in signed_in("admin", "audit", "--action", "tenant.").stdout
    world.answer = Response("id,at\r\n1,2\r\n", media_type="text/csv")
    file = tmp_path / "audit.csv"
    assert signed_in("admin", "audit", "--csv", str(file)).exit_code == 0
    assert file.read_bytes() == b"id,at\r\n1,2\r\n"
    assert world.requests[-1] == ("GET", "/api/admin/audit.csv")
    assert signed_in("admin", "audit", "--csv", str(tmp_path / "no" / "x")).exit_code == 2


def test_somebody_who_is_no_administrator_is_told_so(signed_in: Command, world: World) -> None:
    world.answer = problem(403, "forbidden", "Only admins may do this")
    result = signed_in("admin", "audit", "--csv", "-", "--json")
    assert (result.exit_code, json.loads(result.stdout)["code"]) == (1, "forbidden")

"""Settings of a project that fit together or say why not, and a project as it is found."""

import subprocess
import sys
from typing import Any

import asyncpg
import jwt
import pytest
from pydantic import ValidationError

from gateway.auth.issuer.errors import AuthError
from gateway.cli.admin import migrate_now, people
from gateway.cli.doctor import examine
from gateway.errors import InvalidInputError
from gateway.settings import Settings
from gateway.store.database import SERVICE, Database, Filter
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.project import ProjectError, check_project, project_of
from tests.support.postgrest import free_port
from tests.support.supabase_project import PUBLIC_KEY, SECRET_KEY, SupabaseProject, supabase_project

URL = "https://ref.supabase.example"


def settings(**values: Any) -> Settings:
    return Settings(**values)


def keys_of(project: SupabaseProject) -> dict[str, str]:
    return {"supabase_url": project.url, "supabase_secret_key": SECRET_KEY}


def jwt_key(role: str) -> str:
    return jwt.encode({"role": role}, "s" * 40, "HS256")


def test_nothing_set_is_no_project() -> None:
    assert project_of(settings()) is None


@pytest.mark.parametrize(
    "key",
    [
        {"supabase_service_role_key": jwt_key("service_role")},
        {"supabase_service_role_key": SECRET_KEY},
        {"supabase_secret_key": SECRET_KEY},
        {"supabase_secret_key": SECRET_KEY, "supabase_service_role_key": jwt_key("service_role")},
    ],
)
def test_an_address_and_a_key_are_enough(key: dict[str, str]) -> None:
    project = project_of(settings(supabase_url=f"{URL}/", **key))
    assert project is not None
    assert (project.url, project.issuer) == (URL, f"{URL}/auth/v1")
    assert project.keys.service == next(iter(key.values()))
    assert not any(value in repr(project) for value in key.values())


def test_tokens_may_name_another_address() -> None:
    project = project_of(
        settings(
            supabase_url="http://kong:8000", supabase_public_url=URL, supabase_secret_key=SECRET_KEY
        )
    )
    assert project is not None
    assert (project.auth_url, project.issuer) == ("http://kong:8000/auth/v1", f"{URL}/auth/v1")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"supabase_url": URL}, "needs SUPABASE_SERVICE_ROLE_KEY"),
        ({"supabase_secret_key": SECRET_KEY}, "but not SUPABASE_URL"),
        ({"supabase_url": URL, "supabase_service_role_key": PUBLIC_KEY}, "is the public key"),
        ({"supabase_url": URL, "supabase_service_role_key": jwt_key("anon")}, "is the public key"),
        (
            {
                "supabase_url": URL,
                "supabase_secret_key": SECRET_KEY,
                "supabase_anon_key": jwt_key("service_role"),
            },
            "may be shown",
        ),
    ],
)
def test_settings_that_do_not_fit(values: dict[str, str], reason: str) -> None:
    with pytest.raises(ProjectError, match=reason):
        project_of(settings(**values))


@pytest.mark.parametrize(
    "values",
    [
        {"supabase_url": ""},
        {"supabase_url": "ref.supabase.example"},
        {"supabase_url": "https://user:password@ref.example"},
        {"supabase_url": f"{URL}/rest/v1"},
        {"supabase_secret_key": ""},
        {"supabase_secret_key": "sb_secret_with\nnewline_in_it"},
        {"supabase_anon_key": "   "},
    ],
)
def test_settings_that_are_not_what_they_should_be(values: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        settings(**values)


@pytest.mark.parametrize("process", ["gateway.app", "gateway.worker"])
def test_without_a_project_no_client_for_http_is_loaded(process: str) -> None:
    look = f"import {process}, sys; print([m for m in ('httpx', 'postgrest') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


async def test_a_schema_is_not_brought_over_http() -> None:
    with pytest.raises(ProjectError, match="supabase db push"):
        await migrate_now(settings(supabase_url=URL, supabase_secret_key=SECRET_KEY))


async def test_a_project_that_is_not_there() -> None:
    there = f"http://127.0.0.1:{free_port()}"
    given = settings(supabase_url=there, supabase_secret_key=SECRET_KEY)
    project = project_of(given)
    assert project is not None
    with pytest.raises(ProjectError, match="does not answer"):
        await check_project(project)
    found = {check.name: check for check in await examine(given)}
    assert "postgres" not in found
    assert (found["supabase"].ok, there in found["supabase"].detail) == (False, True)


async def test_a_project_without_our_schema(postgres: EmbeddedPostgres) -> None:
    async with supabase_project(postgres.socket_dir, "postgres") as running:
        project = project_of(settings(**keys_of(running)))
        assert project is not None
        with pytest.raises(ProjectError, match="does not have our schema"):
            await check_project(project)


async def test_a_project_that_is_behind(postgres: EmbeddedPostgres, database_name: str) -> None:
    connection = await asyncpg.connect(postgres.dsn("supabase_admin", database_name))
    await connection.execute("drop function public.count_leak_report")
    await connection.close()
    async with supabase_project(postgres.socket_dir, database_name) as running:
        project = project_of(settings(**keys_of(running)))
        assert project is not None
        with pytest.raises(ProjectError, match="lacks the migration 20261122001800_leak_reports;"):
            await check_project(project)


async def test_a_project_that_takes_another_key(
    postgres: EmbeddedPostgres, database_name: str
) -> None:
    async with supabase_project(postgres.socket_dir, database_name) as running:
        given = {**keys_of(running), "supabase_secret_key": "sb_secret_of_somebody_else"}
        project = project_of(settings(**given))
        assert project is not None
        with pytest.raises(ProjectError, match="does not take the service key"):
            await check_project(project)


async def test_admins_are_made_in_the_project(
    postgres: EmbeddedPostgres, database_name: str, database: Database
) -> None:
    async with supabase_project(postgres.socket_dir, database_name) as running:
        given = settings(supabase_url=running.url, supabase_secret_key=SECRET_KEY)
        project = project_of(given)
        assert project is not None
        assert await check_project(project) >= 1
        for password in ("first long password", "second long password"):
            async with people(given) as create_admin:
                await create_admin("Admin@Example.com", password)
        with pytest.raises((AuthError, InvalidInputError)):
            async with people(given) as create_admin:
                await create_admin("other@example.com", "short")
    rows = await database.select(
        "user_profiles", identity=SERVICE, where=[Filter("is_admin", "is", True)]
    )
    assert [row["email"] for row in rows] == ["admin@example.com"]
    log = await database.select("audit_log", identity=SERVICE, columns="action,detail")
    assert [row["detail"]["created"] for row in log if row["action"] == "user.create_admin"] == [
        True,
        False,
    ]

"""A whole installation over a Supabase project: only HTTP leads to its data."""

from collections.abc import Iterator

import pytest

from gateway.store.embedded import EmbeddedPostgres
from tests.journeys import apps
from tests.support.engines import require
from tests.support.installation import Installation, installation
from tests.support.one_database import one_database
from tests.support.served_project import served_project
from tests.support.supabase_project import PUBLIC_KEY, SECRET_KEY, SupabaseProject
from tests.support.waiting import until_blocking


@pytest.fixture(scope="module")
def project(postgres: EmbeddedPostgres) -> Iterator[SupabaseProject]:
    with (
        one_database(postgres) as name,
        served_project(postgres.socket_dir, name) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def over(project: SupabaseProject) -> Iterator[Installation]:
    require("bubblewrap")
    environment = project.environment(SUPABASE_ANON_KEY=PUBLIC_KEY)
    with installation(SANDBOX_RUNTIME="bubblewrap", SANDBOX_BLANKS="1", **environment) as running:
        yield running


def test_it_deploys_calls_and_meters(over: Installation, project: SupabaseProject) -> None:
    assert "postgres" not in over.processes()
    assert not (over.data_dir / "postgres").exists()
    value = over.deploy("over http", apps.METHODS)
    with over.client(**{"X-API-Key": value["api_key"]}) as caller:
        for _ in range(3):
            assert caller.get(f"/{value['id']}/").status_code == 200
    with over.admin() as admin:
        assert admin.get("/ready").status_code == 200

        def counted() -> bool:
            answer = admin.get(f"/api/api-analytics/{value['id']}")
            assert answer.status_code == 200, answer.text
            return bool(answer.json()["calls"] == 3)

        until_blocking(counted)
    assert "POST rpc/record_columns" in project.statements


def test_its_log_tells_nothing_of_what_it_asks(over: Installation) -> None:
    log = (over.data_dir / "logs" / "gateway.log").read_text()
    assert "/rest/v1" not in log
    assert SECRET_KEY not in log


def test_a_person_reads_as_that_person(over: Installation, project: SupabaseProject) -> None:
    with over.client() as stranger:
        answer = stranger.post(
            "/auth/v1/signup", json={"email": "someone@example.com", "password": "long enough 1"}
        )
        assert answer.status_code == 200, answer.text
        stranger.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        listed = stranger.get("/api/apis")
        assert (listed.status_code, listed.json()["items"]) == (200, [])
        made = stranger.post("/api/apis", json={"name": "mine", "code": apps.METHODS})
        assert made.status_code == 201, made.text
        assert len(stranger.get("/api/apis").json()["items"]) == 1


def test_a_revoked_key_stops(over: Installation) -> None:
    value = over.deploy("to revoke", apps.METHODS)
    with over.admin() as admin, over.client(**{"X-API-Key": value["api_key"]}) as caller:
        assert caller.get(f"/{value['id']}/").status_code == 200
        keys = admin.get(f"/api/apis/{value['id']}/keys").json()["items"]
        assert admin.delete(f"/api/keys/{keys[0]['id']}").status_code in (200, 204)
        assert caller.get(f"/{value['id']}/").status_code == 401


def test_signing_out_ends_the_session(over: Installation) -> None:
    with over.admin() as admin:
        assert admin.get("/api/apis").status_code == 200
        assert admin.post("/auth/v1/logout", params={"scope": "global"}).status_code == 204
        until_blocking(lambda: admin.get("/api/apis").status_code == 401)

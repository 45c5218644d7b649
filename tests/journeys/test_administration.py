"""What administrators do, over the real gateway with real sessions, on each runtime."""

from collections.abc import Iterator

import pytest

from tests.journeys import apps
from tests.support.deployed import Deployed, deployed
from tests.support.installation import Installation
from tests.support.waiting import until_blocking

WHY = {"reason": "an incident"}


@pytest.fixture
def api(made: Installation, request: pytest.FixtureRequest) -> Iterator[Deployed]:
    code = apps.VERSIONED.format(number=1)
    with deployed(made, f"governed {request.node.name}"[:70], code) as one:
        yield one


def test_a_caller_of_a_suspended_tenant_is_told_why(made: Installation, api: Deployed) -> None:
    with made.client(**{"X-API-Key": made.first["admin_api_key"]}) as admin:
        tenant = f"/api/admin/tenants/{api.value['tenant_id']}"
        assert admin.post(f"{tenant}/suspend", json=WHY).status_code == 200
        refused = api.call().json()
        assert admin.post(f"{tenant}/restore", json=WHY).status_code == 200
    assert (refused["code"], refused["detail"]) == ("tenant_suspended", WHY["reason"])
    assert api.call().status_code == 200


def test_a_stopped_api_is_refused_and_shown_until_it_goes_on(
    made: Installation, api: Deployed
) -> None:
    body = {"api_id": api.id, **WHY}
    with made.admin() as admin:
        admin.put("/api/admin/switches/api", json={**body, "stopped": True}).raise_for_status()
        assert api.call().json()["code"] == "api_suspended"

        def shown() -> bool:
            part = admin.get("/ready").json()["parts"]["switches"]
            assert part["ok"]
            metrics = admin.get("/metrics").text
            return "1 APIs" in part["reason"] and 'stopped{switch="api"' in metrics

        until_blocking(shown, 10)
        admin.put("/api/admin/switches/api", json={**body, "stopped": False}).raise_for_status()
    assert api.call().status_code == 200


def test_an_impersonation_reads_and_ends_with_the_administrators_session(
    made: Installation,
) -> None:
    with made.client() as client:
        body = {"email": f"looked-at-{made.runtime}@example.org", "password": "correct horse 8"}
        person = client.post("/auth/v1/signup", json=body).json()["user"]
    with made.admin() as admin:
        path = f"/api/admin/users/{person['id']}/impersonate"
        begun = admin.post(path, json=WHY)
        assert begun.status_code == 201, begun.text
        with made.client(Authorization=f"Bearer {begun.json()['access_token']}") as looking:
            me = looking.get("/api/me")
            assert (me.status_code, me.json()["user_id"]) == (200, person["id"])
            assert me.headers["x-sandgate-impersonating"] == person["id"]
            assert looking.get("/api/apis").json()["items"] == []
            assert looking.post("/api/apis", json={}).json()["code"] == "impersonation_read_only"
            assert looking.get("/auth/v1/user").status_code == 403
            admin.post("/auth/v1/logout", params={"scope": "local"}).raise_for_status()
            assert looking.get("/api/me").json()["code"] == "invalid_session"

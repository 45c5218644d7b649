"""What owners and admins change is true for the very next call, on each runtime."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gateway.auth.keys import generate_key
from tests.journeys import apps
from tests.support.installation import Installation
from tests.support.waiting import until_blocking


class Api:
    """One deployed API with its owner and a caller."""

    def __init__(self, made: Installation, owner: httpx.Client, name: str) -> None:
        self.made, self.owner = made, owner
        self.value = made.deploy(name, apps.VERSIONED.format(number=1))
        self.id: str = self.value["id"]
        self.key: str = self.value["api_key"]
        made.lift_limits(self.value["tenant_id"])

    def call(self, key: str | None = "own", path: str = "") -> httpx.Response:
        """One call with the own key, another, or none."""
        presented = self.key if key == "own" else key
        headers = {} if presented is None else {"Authorization": f"Bearer {presented}"}
        with self.made.client(**headers) as client:
            return client.get(f"/{self.id}{path}")

    def code(self, key: str | None = "own") -> tuple[int, str]:
        """Status and problem code of one call."""
        answer = self.call(key)
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        return answer.status_code, answer.json()["code"]

    def patch(self, **changes: Any) -> httpx.Response:
        """Change the API as its owner."""
        answer = self.owner.patch(f"/api/apis/{self.id}", json=changes)
        assert answer.status_code == 200, answer.text
        return answer

    def deploy(self, number: int) -> None:
        """Another version that says its number."""
        code = apps.VERSIONED.format(number=number)
        answer = self.owner.post(f"/api/apis/{self.id}/versions", json={"code": code})
        assert answer.status_code == 201, answer.text


@pytest.fixture
def api(made: Installation, request: pytest.FixtureRequest) -> Iterator[Api]:
    """A fresh API for each test, removed at its end."""
    with made.admin() as owner:
        one = Api(made, owner, f"cycle {request.node.name}"[:70])
        yield one
        owner.delete(f"/api/apis/{one.id}")


def test_no_key_is_401(api: Api) -> None:
    assert api.code(None) == (401, "key_missing")


def test_junk_key_is_401(api: Api) -> None:
    assert api.code("sg_live_" + "x" * 38) == (401, "key_malformed")


def test_well_formed_key_that_nobody_has_is_401(api: Api) -> None:
    assert api.code(generate_key()) == (401, "key_unknown")


def test_key_of_another_api_is_403(api: Api) -> None:
    assert api.code(api.made.first["demo_api_key"]) == (403, "key_not_for_api")


def test_unknown_api_is_404(made: Installation) -> None:
    with made.client(Authorization=f"Bearer {made.first['demo_api_key']}") as client:
        answer = client.get("/no-such-api")
    assert (answer.status_code, answer.json()["code"]) == (404, "api_not_found")


def test_revoked_key_is_refused_by_the_next_call(api: Api) -> None:
    made = api.owner.post(f"/api/apis/{api.id}/keys", json={"name": "second"}).json()
    assert api.call(made["key"]).status_code == 200
    assert api.owner.delete(f"/api/keys/{made['id']}").status_code == 204
    assert api.code(made["key"]) == (401, "key_revoked")
    assert api.call().status_code == 200


def test_paused_api_is_503_and_resumed_answers_again(api: Api) -> None:
    assert api.call().status_code == 200
    api.patch(status="paused")
    assert api.code() == (503, "api_paused")
    assert int(api.call().headers["retry-after"]) > 0
    api.patch(status="active")
    assert api.call().status_code == 200


def test_deleted_api_is_404(api: Api) -> None:
    assert api.owner.delete(f"/api/apis/{api.id}").status_code == 204
    assert api.code() == (404, "api_not_found")


def test_suspended_tenant_is_refused_until_it_is_restored(api: Api) -> None:
    path = f"/api/admin/tenants/{api.value['tenant_id']}"
    with api.made.client(Authorization=f"Bearer {api.made.first['admin_api_key']}") as admin:
        assert admin.patch(path, json={"status": "suspended"}).status_code == 200
        refused = api.code()
        assert admin.patch(path, json={"status": "active"}).status_code == 200
    assert refused == (403, "tenant_suspended")
    assert api.call().status_code == 200


def test_new_version_answers_next_and_rollback_brings_the_old_one_back(api: Api) -> None:
    assert api.call().json() == {"version": 1}
    api.deploy(2)
    assert api.call().json() == {"version": 2}
    assert api.owner.post(f"/api/apis/{api.id}/rollback").status_code in (200, 201)
    assert api.call().json() == {"version": 1}


def test_version_that_does_not_start_leaves_the_old_one_answering(api: Api) -> None:
    bad = {"code": apps.BROKEN["exception"]}
    refused = api.owner.post(f"/api/apis/{api.id}/versions", json=bad)
    assert (refused.status_code, refused.json()["code"]) == (422, "api_start_failed")
    assert api.call().json() == {"version": 1}


def test_weights_split_calls_between_two_versions(api: Api) -> None:
    api.deploy(2)
    body = {"version": 1, "weight": 50}
    assert api.owner.post(f"/api/apis/{api.id}/deployments", json=body).status_code == 201
    assert {api.call().json()["version"] for _ in range(40)} == {1, 2}


def test_limit_of_the_api_holds_from_the_next_call(api: Api) -> None:
    api.patch(limits={"minute": 2})
    assert [api.call().status_code for _ in range(3)] == [200, 200, 429]


def test_limit_of_a_key_holds_for_that_key_only(api: Api) -> None:
    body = {"name": "narrow", "limits": {"day": 1}}
    narrow = api.owner.post(f"/api/apis/{api.id}/keys", json=body).json()["key"]
    assert [api.call(narrow).status_code for _ in range(2)] == [200, 429]
    assert api.call().status_code == 200


@pytest.mark.parametrize("quantity", [0, -1])
def test_limits_of_zero_or_less_are_422(api: Api, quantity: int) -> None:
    answer = api.owner.patch(f"/api/apis/{api.id}", json={"limits": {"hour": quantity}})
    assert answer.status_code == 422


def test_other_resources_mean_another_sandbox(api: Api) -> None:
    api.patch(resources={"memory_mb": 128})
    assert api.call().status_code == 200
    assert api.owner.get(f"/api/apis/{api.id}").json()["resources"]["memory_mb"] == 128


def test_calls_show_in_the_usage_of_the_api(api: Api) -> None:
    for _ in range(3):
        api.call().raise_for_status()
    api.call(path="/nothing-here")

    def usage() -> dict[str, Any]:
        value: dict[str, Any] = api.owner.get(f"/api/api-analytics/{api.id}").json()
        return value

    until_blocking(lambda: usage()["calls"] == 4)
    assert (usage()["client_errors"], usage()["errors"]) == (1, 0)

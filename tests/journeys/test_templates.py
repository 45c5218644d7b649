"""Every template made over HTTP, run in a real sandbox, called as its examples say."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from generator import library
from generator.export import local_calls
from generator.library import Template
from tests.support.engines import require
from tests.support.installation import Installation, installation

pytestmark = [pytest.mark.slow, pytest.mark.bubblewrap]


class BelowPath:
    """Calls of one API through the gateway."""

    def __init__(self, client: httpx.Client, api_id: str) -> None:
        self._client = client
        self._api_id = api_id

    def request(self, method: str, url: str, **options: Any) -> Any:
        """One call."""
        return self._client.request(method, f"/{self._api_id}{url}", **options)


@pytest.fixture(scope="module")
def made() -> Iterator[Installation]:
    """An installation whose sandboxes are real."""
    require("bubblewrap")
    with installation(SANDBOX_RUNTIME="bubblewrap") as running:
        yield running


def faults_of(made: Installation, one: Template) -> list[tuple[str, str]]:
    with made.admin() as owner:
        body = {"name": one.title, "template": one.slug}
        answer = owner.post("/api/apis", json=body, timeout=300)
        if one.contract.dependencies and answer.json().get("code") == "dependencies_unavailable":
            pytest.skip("optional: the package index does not answer here")
        assert answer.status_code == 201, f"{answer.text}\n{made.logs()}"
        api = answer.json()
        made.lift_limits(api["tenant_id"])
        operations = one.contract.model_dump(mode="json", by_alias=True)["operations"]
        with made.client(Authorization=f"Bearer {api['api_key']}") as client:
            played = list(local_calls.play(BelowPath(client, api["id"]), operations))
        owner.delete(f"/api/apis/{api['id']}").raise_for_status()
    return [(name, fault) for name, fault in played if fault]


# one without anything, one that remembers, one with packages; words become each of them elsewhere
CHOSEN = [library.get(slug) for slug in ("random-facts", "todo-list", "qr-code")]


@pytest.mark.parametrize("one", CHOSEN, ids=lambda one: one.slug)
def test_a_template_starts_and_passes_its_examples(made: Installation, one: Template) -> None:
    assert faults_of(made, one) == []

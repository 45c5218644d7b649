"""One file of Python, deployed over HTTP and called in every way, on each runtime."""

from collections.abc import Iterator

import httpx
import pytest

from tests.journeys import apps
from tests.support.installation import Installation


@pytest.fixture(scope="module")
def api(made: Installation) -> Iterator[httpx.Client]:
    """An API with every method; its tenant has no limits."""
    value = made.deploy("every method", apps.METHODS)
    made.lift_limits(value["tenant_id"])
    with httpx.Client(
        base_url=f"{made.url}/{value['id']}",
        headers={"X-API-Key": value["api_key"]},
        timeout=60,
        trust_env=False,
    ) as client:
        yield client


def test_get_answers_with_the_gateways_headers(api: httpx.Client) -> None:
    answer = api.get("/")
    assert (answer.status_code, answer.json()) == (200, {"message": "Hello from user API"})
    assert float(answer.headers["x-process-time"]) > 0
    assert len(answer.headers["x-request-id"]) >= 32


def test_post_put_patch_and_delete_change_state(api: httpx.Client) -> None:
    assert api.post("/items/1", params={"value": "a"}).status_code == 201
    assert api.put("/items/1", params={"value": "b"}).json() == {"item": "b"}
    assert api.patch("/items/1", params={"value": "c"}).json() == {"item": "bc"}
    deleted = api.delete("/items/1")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert api.get("/items/1").json() == {"item": None}


def test_head_and_options_have_headers_and_no_body(api: httpx.Client) -> None:
    head, options = api.head("/items/9"), api.options("/items/9")
    assert (head.status_code, head.headers["x-item"], head.content) == (200, "none", b"")
    assert (options.status_code, options.headers["allow"]) == (200, "GET, POST")


def test_five_megabytes_are_uploaded(api: httpx.Client) -> None:
    size = 5 * 1024 * 1024
    assert api.post("/upload", content=b"u" * size).json() == {"size": size}


def test_upload_without_content_length_is_streamed(api: httpx.Client) -> None:
    parts = (b"p" * 65536 for _ in range(40))
    assert api.post("/upload", content=parts).json() == {"size": 40 * 65536}


def test_body_over_the_cap_is_413_with_content_length(api: httpx.Client) -> None:
    answer = api.post("/upload", content=b"u" * (10 * 1024 * 1024 + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_body_over_the_cap_is_413_without_content_length(api: httpx.Client) -> None:
    answer = api.post("/upload", content=(b"p" * 65536 for _ in range(170)))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_fifty_megabytes_are_streamed_down(api: httpx.Client) -> None:
    size = 50 * 1024 * 1024
    with api.stream("GET", "/large", params={"size": size}) as answer:
        assert answer.status_code == 200
        assert sum(len(chunk) for chunk in answer.iter_raw()) == size


def test_app_sees_the_callers_headers_and_none_added(api: httpx.Client) -> None:
    seen = api.get("/seen", headers={"Authorization": "Bearer own"}).json()
    names = [name for name, _ in seen["headers"]]
    assert "x-api-key" not in names
    assert ["authorization", "Bearer own"] in seen["headers"]
    assert not [name for name in names if name.startswith(("x-forwarded", "x-sandgate", "x-real"))]


def test_app_sees_its_root_path_and_the_callers_address(api: httpx.Client) -> None:
    seen = api.get("/seen", params={"q": "1"}).json()
    assert seen["root_path"] == api.base_url.path.rstrip("/")
    assert seen["url"].startswith(str(api.base_url).rstrip("/") + "/seen")
    assert (seen["client"], seen["query"]) == ("127.0.0.1", "q=1")


def test_bearer_key_never_reaches_the_app(api: httpx.Client) -> None:
    key = api.headers["X-API-Key"]
    with httpx.Client(base_url=api.base_url, trust_env=False) as plain:
        seen = plain.get("/seen", headers={"Authorization": f"Bearer {key}"})
    assert "authorization" not in [name for name, _ in seen.json()["headers"]]
    assert key not in seen.text


def test_own_documentation_works_below_its_root(api: httpx.Client) -> None:
    page, document = api.get("/docs"), api.get("/openapi.json")
    assert f"{api.base_url.path.rstrip('/')}/openapi.json" in page.text
    assert document.json()["servers"] == [{"url": api.base_url.path.rstrip("/")}]


def test_crashed_sandbox_is_replaced_for_the_next_call(api: httpx.Client) -> None:
    crashed = api.get("/exit")
    assert (crashed.status_code, crashed.json()["code"]) == (502, "api_died")
    again = api.get("/")
    assert again.status_code == 200, again.text


def test_printed_lines_are_in_the_log(made: Installation, api: httpx.Client) -> None:
    api.get("/print", params={"text": "hello from the sandbox"}).raise_for_status()
    api_id = api.base_url.path.strip("/")
    with made.admin() as admin:
        lines = admin.get(f"/api/apis/{api_id}/logs").json()["items"]
    assert "hello from the sandbox" in [line["text"] for line in lines]


def test_the_origins_own_example_runs(made: Installation) -> None:
    value = made.deploy("origin", apps.USER_APP)
    with made.client(Authorization=f"Bearer {value['api_key']}") as client:
        assert client.get(f"/{value['slug']}").json() == {"message": "Hello from user API"}

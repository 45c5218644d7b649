"""Call settings as a consumer's browser meets them, through a whole installation."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.engines import require
from tests.support.installation import Installation, installation

pytestmark = [pytest.mark.bubblewrap, pytest.mark.xdist_group("bwrap")]

DOMAIN = "apis.example.test"
PAGE = "https://app.example.com"
APP = """
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse

app = FastAPI()
calls = 0


@app.get("/items/")
def items():
    return []


@app.get("/login")
def login():
    answer = RedirectResponse("/items/", 303)
    answer.set_cookie("session", "secret", domain="example.test", httponly=True)
    answer.headers.append("set-cookie", "__Host-wide=1; Secure; Path=/")
    answer.headers.append("set-cookie", "sandgate_session=forged; Path=/")
    return answer


@app.get("/seen")
def seen(request: Request):
    return {"cookie": request.headers.get("cookie"), "path": request.url.path}


@app.get("/page")
def page():
    return HTMLResponse("<h1>hello</h1>")


@app.get("/count")
def count(response: Response):
    global calls
    calls += 1
    response.headers["cache-control"] = "max-age=60"
    response.headers["access-control-allow-origin"] = "https://evil.example"
    return {"calls": calls}


@app.post("/count")
def reset():
    return {}


@app.get("/api/apis")
def reserved():
    return PlainTextResponse("the app's own")
"""
SETTINGS = {
    "cors": {"origins": [PAGE], "credentials": True, "expose": ["X-Total"]},
    "cache": True,
    "max_concurrency": 10,
}


@pytest.fixture(scope="module")
def place() -> Iterator[Installation]:
    """Sandgate with origins of their own for APIs."""
    require("bubblewrap")
    with installation(SANDBOX_RUNTIME="bubblewrap", BASE_DOMAIN=DOMAIN) as running:
        yield running


@pytest.fixture(scope="module")
def api(place: Installation) -> dict[str, Any]:
    return place.deploy("Browser friend", APP, call_settings=SETTINGS)


@pytest.fixture
def caller(place: Installation, api: dict[str, Any]) -> Iterator[httpx.Client]:
    """Whoever has the key, below the API's path."""
    with httpx.Client(
        base_url=f"{place.url}/{api['slug']}",
        headers={"Authorization": f"Bearer {api['api_key']}"},
        timeout=60,
        trust_env=False,
    ) as client:
        yield client


def test_preflight_needs_no_key_and_reaches_no_app(place: Installation, api: Any) -> None:
    ask = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    with place.client() as client:
        answer = client.options(f"/{api['slug']}/no/such/path", headers=ask)
        other = client.options(f"/{api['slug']}", headers={**ask, "Origin": "https://evil.example"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-allow-headers"] == "authorization"
    assert "access-control-allow-origin" not in other.headers


def test_a_page_can_read_why_it_was_refused(place: Installation, api: Any) -> None:
    with place.client() as client:
        answer = client.get(f"/{api['slug']}/items/", headers={"Origin": PAGE})
    assert (answer.status_code, answer.json()["code"]) == (401, "key_missing")
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "Origin" in answer.headers["vary"]


def test_answers_are_dressed_in_place_of_the_apps_own_words(caller: httpx.Client) -> None:
    answer = caller.get("/items/", headers={"Origin": PAGE})
    assert answer.headers.get_list("access-control-allow-origin") == [PAGE]
    assert "x-ratelimit-remaining" in answer.headers["access-control-expose-headers"]
    assert "x-total" in answer.headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in caller.get("/items/").headers


def test_redirects_and_cookies_of_an_app_stay_below_its_root(
    caller: httpx.Client, api: Any
) -> None:
    answer = caller.get("/login")
    assert answer.headers["location"] == f"/{api['slug']}/items/"
    assert answer.headers.get_list("set-cookie") == [
        f"session=secret; HttpOnly; SameSite=lax; Path=/{api['slug']}"
    ]
    followed = caller.get("/login", follow_redirects=True)
    assert (followed.status_code, followed.json()) == (200, [])
    slash = caller.get("/items")  # the framework's own redirect knows its root path
    assert slash.headers["location"].endswith(f"/{api['slug']}/items/")


def test_cookies_of_the_gateway_do_not_reach_an_app(caller: httpx.Client) -> None:
    answer = caller.get("/seen", headers={"Cookie": "a=1; sandgate_session=x; b=2"})
    assert answer.json()["cookie"] == "a=1; b=2"


def test_pages_are_caged_on_the_origin_that_all_share(caller: httpx.Client) -> None:
    answer = caller.get("/page")
    assert answer.headers["content-security-policy"].startswith("sandbox ")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_fresh_answer_is_given_again_and_dressed_again(caller: httpx.Client) -> None:
    first = caller.get("/count?n=1")
    assert first.headers["cache-status"] == "sandgate; fwd=miss; stored"
    second = caller.get("/count?n=1", headers={"X-Forwarded-Host": "evil.example"})
    assert second.json() != first.json()
    again = caller.get("/count?n=1")
    assert again.json() == first.json()
    assert again.headers["cache-status"].startswith("sandgate; hit; ttl=")
    assert int(again.headers["x-ratelimit-remaining"]) < int(
        second.headers["x-ratelimit-remaining"]
    )
    wanted = caller.get("/count?n=1", headers={"Cache-Control": "no-cache"})
    assert wanted.json()["calls"] > again.json()["calls"]
    page = caller.get("/count?n=2", headers={"Origin": PAGE})
    assert page.headers.get_list("access-control-allow-origin") == [PAGE]


def test_on_an_origin_of_its_own_the_whole_path_is_the_apps(place: Installation, api: Any) -> None:
    host = {"Host": f"{api['slug']}.{DOMAIN}", "X-API-Key": api["api_key"]}
    with place.client(**host) as client:
        assert client.get("/api/apis").text == "the app's own"
        assert client.get("/seen").json()["path"] == "/seen"
        login, page = client.get("/login"), client.get("/page")
    assert login.headers["location"] == "/items/"
    assert sorted(cookie.partition("=")[0] for cookie in login.headers.get_list("set-cookie")) == [
        "__Host-wide",
        "session",
    ]
    assert "omain=" not in str(login.headers.get_list("set-cookie"))
    assert "content-security-policy" not in page.headers


def test_what_lies_below_the_base_domain_is_never_the_gateway_itself(place: Installation) -> None:
    for name in ("nobody", "a.b", "xn--cts-gla"):
        with place.client(Host=f"{name}.{DOMAIN}") as client:
            answer = client.get("/health")
        assert (answer.status_code, answer.json()["code"]) == (404, "api_not_found")
    with place.client(Host=DOMAIN) as client:
        assert client.get("/health").status_code == 200


def test_a_deployed_api_begins_anew(place: Installation, api: Any, caller: httpx.Client) -> None:
    before = caller.get("/count?n=3")
    assert caller.get("/count?n=3").json() == before.json()
    with place.admin() as client:
        body = {"code": APP + "\n# second\n"}
        assert client.post(f"/api/apis/{api['id']}/versions", json=body).status_code == 201
    assert caller.get("/count?n=3").headers["cache-status"] == "sandgate; fwd=miss; stored"

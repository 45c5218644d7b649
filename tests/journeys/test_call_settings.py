"""Call settings as a consumer's browser meets them, through a whole installation."""

import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from tests.support.engines import require
from tests.support.installation import Installation, installation

pytestmark = [pytest.mark.bubblewrap]

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


SCRIPT = """<script>
const api = %s, key = %s;
async function tell() {
  const read = async (path, options) => {
    try {
      const answer = await fetch(api + path, options);
      const left = answer.headers.get("x-ratelimit-remaining");
      return [answer.status, (await answer.json()).code ?? "", left !== null];
    } catch (error) { return ["refused by the browser"]; }
  };
  const headers = {Authorization: "Bearer " + key, "X-Own": "1"};
  const told = [
    await read("/items/", {headers}), await read("/items/", {}),
    await read("/count", {method: "POST", headers}), await read("/count", {method: "PUT", headers}),
  ];
  await fetch("/", {method: "POST", body: JSON.stringify(told)});
}
tell();
</script>"""


class _Page(BaseHTTPRequestHandler):
    """One page, and what its script tells."""

    page = ""
    told: list[Any]
    heard: threading.Event

    def do_GET(self) -> None:
        self._answer(self.page.encode())

    def do_POST(self) -> None:
        self.told += json.loads(self.rfile.read(int(self.headers["content-length"])))
        self._answer(b"")
        self.heard.set()

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""


@pytest.mark.skipif(shutil.which("chromium") is None, reason="optional: needs chromium")
def test_a_page_in_a_browser_calls_and_reads_what_it_may(place: Installation) -> None:
    told, heard = list[Any](), threading.Event()
    handler = type("Page", (_Page,), {"told": told, "heard": heard})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    origin = f"http://localhost:{server.server_address[1]}"
    cors = {"origins": [origin], "methods": ["GET", "POST"]}
    api = place.deploy("Called by a page", APP, call_settings={"cors": cors})
    address = json.dumps(f"{place.url}/{api['slug']}")
    handler.page = SCRIPT % (address, json.dumps(api["api_key"]))  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="sg-", ignore_cleanup_errors=True) as profile:
        browser = subprocess.Popen(
            ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic",
             "--no-first-run", "--disable-background-networking", "--disable-component-update",
             "--disable-sync", f"--user-data-dir={profile}", origin],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            assert heard.wait(40)
        finally:
            browser.terminate()
            browser.wait(20)
            server.shutdown()
            server.server_close()
    assert told == [
        [200, "", True],
        [401, "key_missing", False],
        [200, "", True],
        ["refused by the browser"],  # not among the methods
    ]

"""The one way out, over a real network and a real name server, on each runtime."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployed import Deployed, deployed
from tests.support.engines import require
from tests.support.installation import Installation, installation
from tests.support.small_internet import FAR, SECOND, SmallInternet, small_internet

NAMES = {
    "api.example.com": [FAR],
    "other.example.com": [SECOND],
    "metadata.example.com": ["169.254.169.254"],
    "rebinds.example.com": [FAR, "127.0.0.1"],
    "local.example.com": ["10.0.0.1"],
}
CODE = """import os
import socket
import ssl
import urllib.request

import httpx
from fastapi import FastAPI

app = FastAPI()


@app.get("/get")
async def get(url: str, header: str = "") -> dict[str, object]:
    try:
        async with httpx.AsyncClient(verify=False, timeout=10, follow_redirects=True) as client:
            answer = await client.get(url, headers={"x-token": header} if header else {})
    except httpx.HTTPError as error:
        return {"failed": f"{type(error).__name__}: {error}"}
    return {"status": answer.status_code, "text": answer.text[:400]}


@app.get("/urllib")
def with_urllib(url: str) -> dict[str, object]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=10, context=context) as answer:
            return {"status": answer.status, "text": answer.read().decode()}
    except OSError as error:
        return {"failed": str(error)}


@app.get("/dial")
def dial(host: str, port: int) -> str:
    try:
        socket.create_connection((host, port), 3).close()
    except OSError as error:
        return type(error).__name__
    return "connected"


@app.get("/token")
def token() -> str:
    return os.environ["TOKEN"]
"""


@pytest.fixture(scope="module")
def internet() -> Iterator[SmallInternet]:
    """Public addresses and names of the test's own."""
    with tempfile.TemporaryDirectory() as folder, small_internet(Path(folder), NAMES) as made:
        yield made


@pytest.fixture(
    scope="module",
    params=[
        "bubblewrap",
        "docker",
    ],
)
def online(request: pytest.FixtureRequest, internet: SmallInternet) -> Iterator[Installation]:
    """An installation that asks that name server."""
    require(request.param)
    with installation(
        SANDBOX_RUNTIME=request.param, EGRESS_NAMESERVERS=internet.nameserver
    ) as running:
        yield running


@pytest.fixture
def api(online: Installation, request: pytest.FixtureRequest) -> Iterator[Deployed]:
    """Allowed: one host, and the traps."""
    hosts = [name for name in NAMES if name != "other.example.com"]
    with deployed(online, f"out {request.node.name}"[:70], CODE, egress={"hosts": hosts}) as one:
        yield one


def get(api: Deployed, url: str, **more: str) -> dict[str, Any]:
    value: dict[str, Any] = api.ask("/get", params={"url": url, **more})
    return value


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_allowed_host_answers(api: Deployed, scheme: str) -> None:
    assert get(api, f"{scheme}://api.example.com/") == {"status": 200, "text": "origin"}
    assert api.ask("/urllib", params={"url": f"{scheme}://api.example.com/"})["text"] == "origin"


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "host",
    ["other.example.com", "unknown.example.net", FAR, "2130706433", "0x7f.1"],
)
def test_a_host_that_is_not_allowed_is_refused(api: Deployed, scheme: str, host: str) -> None:
    answer = get(api, f"{scheme}://{host}/")
    assert answer.get("status") == 403 or "403" in answer.get("failed", ""), answer


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_loopback_is_the_sandboxs_own_where_nothing_listens(
    api: Deployed, scheme: str, host: str
) -> None:
    assert get(api, f"{scheme}://{host}/")["failed"].startswith("ConnectError")


@pytest.mark.parametrize("host", ["metadata.example.com", "local.example.com"])
def test_an_allowed_name_with_a_special_address_is_refused(api: Deployed, host: str) -> None:
    answer = get(api, f"http://{host}/")
    assert answer["status"] == 403
    assert "egress_address_refused" in answer["text"]


def test_a_name_that_changes_its_address_never_leads_inside(api: Deployed) -> None:
    answers = [get(api, "http://rebinds.example.com/") for _ in range(6)]
    assert {answer["status"] for answer in answers} <= {200, 403}
    assert all(answer["text"] == "origin" for answer in answers if answer["status"] == 200)


def test_a_redirect_to_the_metadata_address_is_refused(api: Deployed) -> None:
    assert get(api, "http://api.example.com/redirect")["status"] == 403


def test_an_odd_port_is_refused(api: Deployed) -> None:
    assert "403" in str(get(api, "http://api.example.com:8080/"))


def test_there_is_no_network_beside_the_door(api: Deployed) -> None:
    for host in (FAR, "api.example.com", "169.254.169.254"):
        assert api.ask("/dial", params={"host": host, "port": 80}) != "connected"


def test_without_a_list_nothing_is_reached(online: Installation) -> None:
    with deployed(online, "closed", CODE) as closed:
        assert "origin" not in str(get(closed, "http://api.example.com/"))


def test_a_changed_list_counts_at_once_without_a_restart(api: Deployed) -> None:
    assert get(api, "http://api.example.com/")["status"] == 200
    before = [one["id"] for one in api.sandboxes()]
    api.send("PATCH", "", 200, json={"egress": {"hosts": ["other.example.com"]}})
    assert get(api, "http://api.example.com/")["status"] == 403
    assert get(api, "http://other.example.com/")["status"] == 200
    assert [one["id"] for one in api.sandboxes()] == before


@pytest.mark.parametrize("of_one", [True, False], ids=["of one API", "of all"])
def test_an_administrator_stops_it_for_what_lives_and_what_starts(
    api: Deployed, of_one: bool
) -> None:
    body: dict[str, object] = {"stopped": True, "reason": "it attacks somebody"}
    body |= {"api_id": api.id} if of_one else {}
    assert get(api, "http://api.example.com/")["status"] == 200
    before = [one["id"] for one in api.sandboxes()]
    with api.made.admin() as admin:
        stopped = admin.put("/api/admin/switches/egress", json=body)
        assert stopped.status_code == 200, stopped.text
        try:
            assert get(api, "http://api.example.com/")["status"] == 403
            assert [one["id"] for one in api.sandboxes()] == before
            admin.post(f"/admin/reload/{api.id}").raise_for_status()
            assert get(api, "http://api.example.com/")["status"] == 403
        finally:
            admin.put("/api/admin/switches/egress", json={**body, "stopped": False})
    assert get(api, "http://api.example.com/")["status"] == 200


def test_a_refusal_stands_in_the_owners_log(api: Deployed) -> None:
    get(api, "http://other.example.com/")
    api.until_logged("other.example.com")


def test_a_placeholder_becomes_the_secret_outside_only(
    api: Deployed, internet: SmallInternet
) -> None:
    secret = "outside-only-55ab"
    body = {"value": secret, "hosts": ["api.example.com"]}
    put = api.send("PUT", "/secrets/TOKEN", 200, json=body)
    assert put["restarted"], f"{put}\n{api.made.logs()}"  # else the old sandbox would be asked
    seen = api.ask("/token")
    assert seen != secret
    answer = get(api, "http://api.example.com/swap", header=f"Bearer {seen}")
    assert answer.get("status") == 200, f"{answer}\n{api.log()}\n{api.made.logs()}"
    assert f"x-token: Bearer {secret}" in internet.requests(), api.made.logs()
    assert secret not in str(get(api, "http://metadata.example.com/", header=seen))

"""First start: an admin, a demo API and its key, one call through the public listener."""

import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import httpx

from gateway.cli.failures import FirstRunError
from gateway.cli.files import write_private
from gateway.store.project import Project

ADMIN_EMAIL = "admin@example.com"
DEMO_NAME = "Sand facts"
FILE = "first-run.json"

CreateAdmin = Callable[[str, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class FirstRun:
    """What the operator needs to know; also the content of first-run.json."""

    base_url: str
    admin_email: str
    admin_password: str
    admin_api_key: str
    demo_api_id: str
    demo_api_key: str

    @property
    def curl(self) -> str:
        """A command that answers 200."""
        return (
            f'curl -i -H "Authorization: Bearer {self.demo_api_key}" '
            f"{self.base_url}/{self.demo_api_id}"
        )


def load(data_dir: Path) -> FirstRun | None:
    """What an earlier start wrote, or None."""
    path = data_dir / FILE
    return FirstRun(**json.loads(path.read_text())) if path.exists() else None


def save(data_dir: Path, value: FirstRun) -> None:
    """Write it where only the owner can read it."""
    write_private(data_dir / FILE, asdict(value))


async def first_run(
    client: httpx.AsyncClient,
    create_admin: CreateAdmin,
    admin_api_key: str,
    base_url: str,
    project: Project | None = None,
) -> FirstRun:
    """Make everything; safe to repeat when an earlier attempt was cut off."""
    password = secrets.token_urlsafe(15)
    await create_admin(ADMIN_EMAIL, password)
    client.headers["Authorization"] = f"Bearer {await _sign_in(client, password, project)}"
    api_id, api_key = await _demo(client)
    return FirstRun(base_url, ADMIN_EMAIL, password, admin_api_key, api_id, api_key)


async def call_demo(client: httpx.AsyncClient, made: FirstRun) -> str:
    """One call as a consumer would make it; answers what the demo said."""
    answer = await client.get(
        f"/{made.demo_api_id}", headers={"Authorization": f"Bearer {made.demo_api_key}"}
    )
    _expect(answer, 200, "the demo API did not answer")
    return answer.text


async def _sign_in(client: httpx.AsyncClient, password: str, project: Project | None) -> str:
    answer = await client.post(
        "/auth/v1/token" if project is None else f"{project.auth_url}/token",
        headers={} if project is None else {"apikey": project.keys.anon or project.keys.service},
        params={"grant_type": "password"},
        json={"email": ADMIN_EMAIL, "password": password},
    )
    _expect(answer, 200, "the admin cannot sign in")
    return str(answer.json()["access_token"])


async def _demo(client: httpx.AsyncClient) -> tuple[str, str]:
    listed = await client.get("/api/apis")
    _expect(listed, 200, "APIs cannot be listed")
    for api in listed.json()["items"]:
        if api["name"] == DEMO_NAME:
            key = await client.post(f"/api/apis/{api['id']}/keys", json={"name": "demo"})
            _expect(key, 201, "no key for the demo API")
            return str(api["id"]), str(key.json()["key"])
    code = resources.files("gateway.cli.demo").joinpath("app.py").read_text()
    made = await client.post(
        "/api/apis", json={"name": DEMO_NAME, "code": code, "description": "Try me"}
    )
    _expect(made, 201, "the demo API does not start")
    value: dict[str, Any] = made.json()
    return str(value["id"]), str(value["api_key"])


def _expect(answer: httpx.Response, status: int, otherwise: str) -> None:
    if answer.status_code != status:
        raise FirstRunError(f"{otherwise}: {answer.status_code} {answer.text[:500]}")

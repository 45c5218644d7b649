"""The real `@supabase/supabase-js` against the issuer, on Node."""

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.issuer import ADMIN_KEY, RunningIssuer
from tests.support.post import Mailbox, query_of

HERE = Path(__file__).parent / "node"
OLDEST_NODE = 20
pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the driver and the client it drives."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node or npm is not installed")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    if int(version.stdout.lstrip("v").split(".")[0]) < OLDEST_NODE:
        pytest.skip(f"node {version.stdout.strip()} is older than {OLDEST_NODE}")
    folder = tmp_path_factory.mktemp("node")
    shutil.copytree(HERE, folder, dirs_exist_ok=True)
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--omit-lockfile-registry-resolved"]
    done = subprocess.run(
        ["npm", "ci", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "NO_UPDATE_NOTIFIER": "1"},
    )
    if done.returncode:
        pytest.skip(f"npm ci failed: {done.stderr[-300:]}")
    return folder


class Driver:
    """Runs a scenario and hands it what only the person's mailbox has."""

    def __init__(self, node: Path, issuer: RunningIssuer, mailbox: Mailbox, email: str) -> None:
        self._node, self._issuer, self._mailbox, self._email = node, issuer, mailbox, email

    async def run(self, scenario: str) -> dict[str, Any]:
        process = await asyncio.create_subprocess_exec(
            *("node", "driver.mjs", scenario, self._issuer.url, ADMIN_KEY, self._email),
            cwd=self._node,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        async for line in process.stdout:
            message = json.loads(line)
            if "saw" in message:
                await process.wait()
                saw: dict[str, Any] = message["saw"]
                return saw
            process.stdin.write((await self._answer(message["wish"])).encode() + b"\n")
        raise AssertionError((await process.stderr.read()).decode()[-3000:])

    async def _answer(self, wish: str) -> str:
        letter = await self._mailbox.next()
        self._issuer.clock.ahead += 61  # another letter may be asked for
        if wish == "code of letter":
            return letter.code
        opened = await self._issuer.http.get("/verify", params=query_of(letter))
        return parse_qs(urlsplit(opened.headers["location"]).query)["code"][0]


@pytest.fixture
def nobody() -> Mailbox:
    """No letters are expected."""
    return Mailbox()


async def test_sessions(
    node: Path, shared_issuer: RunningIssuer, nobody: Mailbox, email: str
) -> None:
    saw = await Driver(node, shared_issuer, nobody, email).run("session")
    assert saw == {
        "made": email,
        "again": {"code": "user_already_exists", "status": 422},
        "weak": {"code": "weak_password", "status": 422, "reasons": ["length"]},
        "wrong": {"code": "invalid_credentials", "status": 400},
        "metadata": {"name": "Ann", "city": "Ulm"},
        "renewed": True,
        "claims": {"email": email, "aal": "aal1", "alg": "ES256"},
        "user": email,
        "signedOut": None,
    }


async def test_second_factors(
    node: Path, shared_issuer: RunningIssuer, nobody: Mailbox, email: str
) -> None:
    shared_issuer.clock.ahead = 0  # the app that shows codes has the real time
    saw = await Driver(node, shared_issuer, nobody, email).run("factors")
    assert saw == {
        "picture": "data:image/svg+xml;utf-8",
        "wrong": {"code": "mfa_verification_failed", "status": 422},
        "repeated": {"code": "mfa_verification_failed", "status": 422},
        "level": "aal2",
        "methods": ["totp", "password"],
        "listed": ["phone"],
        "refused": {"code": "insufficient_aal", "status": 401},
    }


async def test_mailed_links(
    node: Path, mailing_issuer: tuple[RunningIssuer, Mailbox], email: str
) -> None:
    saw = await Driver(node, *mailing_issuer, email).run("links")
    assert saw == {
        "session": None,
        "waiting": {"code": "email_not_confirmed", "status": 400},
        "confirmed": email,
        "recovered": email,
        "byCode": email,
        "twice": {"code": "otp_expired", "status": 403},
    }


async def test_people_by_the_admin_key(
    node: Path, mailing_issuer: tuple[RunningIssuer, Mailbox], email: str
) -> None:
    saw = await Driver(node, *mailing_issuer, email).run("admin")
    assert saw == {
        "total": 1,
        "read": email,
        "banned": {"code": "user_banned", "status": 403},
        "opened": email,
        "invited": f"invited-{email}",
        "gone": {"code": "user_not_found", "status": 404},
        "stranger": {"code": "not_admin", "status": 403},
    }

"""Starting, stopping, starting again, and everything that can stand in the way."""

import json
import os
import shlex
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engines import require
from tests.support.installation import Installation, installation
from tests.support.residue import processes
from tests.support.waiting import until_blocking

FIELDS = {
    "base_url",
    "admin_email",
    "admin_password",
    "admin_api_key",
    "demo_api_id",
    "demo_api_key",
}


@pytest.fixture(scope="module")
def own() -> Iterator[Installation]:
    """An installation that this module may stop and start."""
    require("bubblewrap")
    with installation(SANDBOX_RUNTIME="bubblewrap") as running:
        yield running


def printed_curl(made: Installation) -> list[str]:
    """The command that the first start printed, as words."""
    line = next(line for line in made.output.splitlines() if "curl" in line)
    return shlex.split(line)


def test_first_run_file_is_private_and_complete(own: Installation) -> None:
    path = own.data_dir / "first-run.json"
    assert set(own.first) == FIELDS
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_printed_curl_answers_200_with_limit_headers(own: Installation) -> None:
    words = printed_curl(own)
    answer = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30).stdout
    head = answer.lower()
    assert head.startswith("http/1.1 200")
    assert "x-ratelimit-limit: 100" in head
    assert "ratelimit-policy:" in head


def test_secrets_are_not_on_any_command_line(own: Installation) -> None:
    lines = "\n".join(processes(own.data_dir))
    assert own.first["admin_api_key"] not in lines
    assert own.first["demo_api_key"] not in lines


def test_second_supervisor_on_the_same_data_is_refused(own: Installation) -> None:
    second = serve(SANDGATE_DATA_DIR=str(own.data_dir), GATEWAY_PORT="0")
    assert second.returncode == 1
    assert "already runs" in second.stderr


def test_interrupt_stops_everything_and_data_survives(own: Installation) -> None:
    first = own.first
    before = remaining(own)
    assert own.stop(signal.SIGINT) == 0
    assert processes(own.data_dir) == []
    own.start()
    assert remaining(own) == before - 1
    assert {**own.first, "base_url": ""} == {**first, "base_url": ""}


def test_killed_gateway_forgets_no_counted_call(own: Installation) -> None:
    before = remaining(own)
    killed = own.kill("gateway")
    until_blocking(lambda: own.processes().get("gateway", killed) != killed)
    assert remaining(own) == before - 1


LASTING = """
import asyncio

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()


@app.get("/")
async def pieces() -> StreamingResponse:
    async def body():
        yield b"first, "
        await asyncio.sleep(1.5)
        yield b"last"

    return StreamingResponse(body(), media_type="text/plain")
"""


def test_what_is_answered_while_everything_ends_is_stored_before_the_end(
    own: Installation,
) -> None:
    api = own.deploy("lasting", LASTING)
    key = {"X-API-Key": api["api_key"]}
    with own.client(**key) as client, client.stream("GET", f"/{api['id']}") as answer:
        pieces = answer.iter_text()
        assert next(pieces) == "first, "
        own.tell(signal.SIGTERM)
        assert "".join(pieces) == "last"
    assert own.stop() == 0
    left = [path.name for path in (own.data_dir / "journal").iterdir() if path.stat().st_size]
    own.start()
    assert left == []


def remaining(made: Installation) -> int:
    """Calls that the demo's key has left, after one more."""
    with made.client(Authorization=f"Bearer {made.first['demo_api_key']}") as client:
        answer = client.get(f"/{made.first['demo_api_id']}")
    assert answer.status_code == 200
    return int(answer.headers["x-ratelimit-remaining"])


def sandgate(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """One command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli.main", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_migrate_works_without_a_running_installation(tmp_path: Path) -> None:
    """The second time there is nothing to do, and no server is left behind."""
    data = {"SANDGATE_DATA_DIR": str(tmp_path / "data")}
    first, second = sandgate("migrate", **data), sandgate("migrate", **data)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "applied 20261122000100" in first.stdout
    assert second.stdout.strip() == "nothing to do"
    assert processes(tmp_path) == []


def test_create_admin_beside_a_running_installation(own: Installation) -> None:
    data = {"SANDGATE_DATA_DIR": str(own.data_dir)}
    made = sandgate("create-admin", "second@example.com", "--password", "long enough 2", **data)
    assert made.returncode == 0, made.stderr
    with own.client() as client:
        answer = client.post(
            "/auth/v1/token",
            params={"grant_type": "password"},
            json={"email": "second@example.com", "password": "long enough 2"},
        )
        token = answer.json()["access_token"]
        tenants = client.get("/api/admin/tenants", headers={"Authorization": f"Bearer {token}"})
    assert tenants.status_code == 200


def test_create_admin_refuses_a_weak_password(own: Installation) -> None:
    data = {"SANDGATE_DATA_DIR": str(own.data_dir)}
    refused = sandgate("create-admin", "third@example.com", "--password", "short", **data)
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr


def serve(**environment: str) -> subprocess.CompletedProcess[str]:
    """A `sandgate serve` that is expected to refuse."""
    return sandgate("serve", **environment)


def test_taken_port_is_a_clear_error(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused = serve(SANDGATE_DATA_DIR=str(tmp_path / "data"), GATEWAY_PORT=port)
    assert refused.returncode == 1
    assert f"port {port} on 127.0.0.1 is taken" in refused.stderr
    assert "GATEWAY_PORT=" in refused.stderr


def test_unusable_data_directory_is_a_clear_error(tmp_path: Path) -> None:
    """A file in the place of the directory fails for root too, as a read-only disk would."""
    (tmp_path / "data").write_text("")
    refused = serve(SANDGATE_DATA_DIR=str(tmp_path / "data"), GATEWAY_PORT="0")
    assert refused.returncode == 1
    assert "SANDGATE_DATA_DIR" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_wrong_setting_names_its_variable(tmp_path: Path) -> None:
    refused = serve(SANDGATE_DATA_DIR=str(tmp_path / "data"), GATEWAY_PORT="eighty")
    assert refused.returncode == 1
    assert "GATEWAY_PORT" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_empty_admin_key_is_an_error_not_off(tmp_path: Path) -> None:
    refused = serve(SANDGATE_DATA_DIR=str(tmp_path / "data"), GATEWAY_PORT="0", ADMIN_API_KEY="")
    assert refused.returncode == 1
    assert "ADMIN_API_KEY" in refused.stderr


def test_every_command_explains_itself() -> None:
    listed = sandgate("--help").stdout
    for command in ("serve", "deploy", "login", "doctor", "migrate", "create-admin"):
        assert command in listed


def test_doctor_says_ok_or_what_to_do() -> None:
    answer = sandgate("doctor", "--json")
    checks = json.loads(answer.stdout)["checks"]
    names = {check["name"] for check in checks}
    assert {"python", "postgres", "docker", "bubblewrap", "kernel", "disk", "port"} <= names
    assert all(check["ok"] or check["remedy"] for check in checks)

"""What operators do to an installation that serves: save it, move it, rotate its secrets."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.deployed import deployed
from tests.support.installation import Installation

CODE = """import os

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def root() -> dict[str, str | None]:
    return {"token": os.environ.get("TOKEN")}
"""
VALUE = "s3cret-that-moves-along"


def command(data_dir: Path, *arguments: str) -> str:
    """What `sandgate …` says; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli.main", *arguments],
        env={**os.environ, "SANDGATE_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def is_admin(made: Installation, key: str) -> bool:
    with made.client(**{"X-API-Key": key}) as client:
        return client.get("/api/admin/tenants").status_code == 200


@pytest.mark.timeout(300)  # two installations, one after the other
@pytest.mark.parametrize(
    "made", [pytest.param("bubblewrap", marks=pytest.mark.bubblewrap)], indirect=True
)
def test_saved_moved_and_rotated_while_it_serves(made: Installation, tmp_path: Path) -> None:
    with deployed(made, "movable", CODE) as api:
        api.send("PUT", "/secrets/TOKEN", 200, json={"value": VALUE})
        before = api.call()
        assert before.json() == {"token": VALUE}
        command(made.data_dir, "backup", str(tmp_path / "saved"))

        old = made.first["admin_api_key"]
        command(made.data_dir, "rotate-secret", "admin-key")
        assert made.first["admin_api_key"] != old
        assert is_admin(made, old)
        assert is_admin(made, made.first["admin_api_key"])
        command(made.data_dir, "rotate-secret", "admin-key", "--forget")
        command(made.data_dir, "rotate-secret", "secrets-key", "--overlap", "0")
        assert not is_admin(made, old)
        command(made.data_dir, "rotate-secret", "token-key")
        command(made.data_dir, "rotate-secret", "key-hash")
        api.send("POST", "/deployments", 201, json={"version": 1})  # opens the secret anew
        assert api.ask() == {"token": VALUE}

        data_dir = tmp_path / "elsewhere"
        command(data_dir, "restore", str(tmp_path / "saved"))
        elsewhere = Installation(data_dir, {"SANDBOX_RUNTIME": "bubblewrap"})
        elsewhere.start()
        try:
            assert is_admin(elsewhere, old)
            with elsewhere.client(Authorization=f"Bearer {api.key}") as client:
                after = client.get(f"/{api.id}")
            assert (after.status_code, after.content) == (200, before.content)
        finally:
            elsewhere.stop()

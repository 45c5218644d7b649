"""A secret reaches the code that needs it and shows nowhere else, on each runtime."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.paths import runtime_dir
from tests.support.deployed import Deployed, deployed
from tests.support.installation import Installation

VALUE = "s3cret-hold-your-tongue-8f21"
CODE = """import os
import sys
from pathlib import Path

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def root() -> dict[str, object]:
    token = os.environ.get("TOKEN")
    print("the token is", token)
    print("and again", token, file=sys.stderr)
    return {"length": len(token or "")}


@app.get("/leaks")
def leaks() -> list[str]:
    token = os.environ["TOKEN"].encode()
    found = []
    for folder in Path("/proc").iterdir():
        for name in ("environ", "cmdline"):
            try:
                if token in (folder / name).read_bytes():
                    found.append(f"{folder.name}/{name}")
            except OSError:
                pass
    return found


@app.get("/boom")
def boom() -> None:
    raise RuntimeError(f"cannot sign in with {os.environ['TOKEN']}")
"""


@pytest.fixture
def api(made: Installation, request: pytest.FixtureRequest) -> Iterator[Deployed]:
    """An API whose secret is set after it was deployed."""
    with deployed(made, request.node.name[:60], CODE) as one:
        one.send("PUT", "/secrets/TOKEN", 200, json={"value": VALUE})
        yield one


def test_the_code_has_it_with_the_next_call(api: Deployed) -> None:
    assert api.ask() == {"length": len(VALUE)}


def test_no_process_inside_shows_it(api: Deployed) -> None:
    assert api.ask("/leaks") == []


def engine_shows() -> str:
    """All that an engine tells about its containers; nothing without containers."""
    listed = subprocess.run(
        ["docker", "ps", "-q"], capture_output=True, text=True, check=False, timeout=30
    ).stdout.split()
    shown = subprocess.run(
        ["docker", "inspect", *listed], capture_output=True, text=True, check=False, timeout=30
    )
    return shown.stdout


def test_nothing_outside_shows_it(api: Deployed, made: Installation) -> None:
    api.ask()
    if made.runtime == "docker":
        assert "sandgate" in engine_shows()
        assert VALUE not in engine_shows()
    for folder in Path("/proc").iterdir():
        for name in ("environ", "cmdline"):
            try:
                content = (folder / name).read_bytes()
            except OSError:
                continue
            assert VALUE.encode() not in content
    for top in (made.data_dir, runtime_dir(made.data_dir)):
        found = subprocess.run(
            ["grep", "-rlF", "--devices=skip", "--exclude=test*", VALUE, str(top)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert found.stdout == ""


def test_the_log_has_it_taken_out(api: Deployed) -> None:
    api.ask()
    assert api.call("/boom").status_code == 500
    log = api.until_logged("cannot sign in with")
    assert VALUE not in log
    assert "the token is [secret]" in log


def test_no_route_gives_it_back(api: Deployed) -> None:
    listed = api.send("GET", "/secrets", 200)
    assert [one["name"] for one in listed["items"]] == ["TOKEN"]
    assert VALUE not in str(listed)
    assert VALUE not in str(api.send("GET", "", 200))


def test_a_deleted_one_is_gone_with_the_next_call(api: Deployed) -> None:
    assert api.send("DELETE", "/secrets/TOKEN", 200)["restarted"]
    assert api.ask() == {"length": 0}


def test_it_is_there_after_a_rollback_and_a_new_version(api: Deployed) -> None:
    api.send("POST", "/versions", 201, json={"code": CODE + "\n# two\n"})
    assert api.ask() == {"length": len(VALUE)}
    api.send("POST", "/rollback", 200)
    assert api.ask() == {"length": len(VALUE)}

"""Options of the long campaigns."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Note = Callable[[str, Any], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--campaign-rounds", type=int, default=20, help="how often each process is killed"
    )
    parser.addoption(
        "--campaign-seconds", type=float, default=30, help="how long each kind of trouble lasts"
    )
    parser.addoption(
        "--campaign-revocations", type=int, default=200, help="how many keys are revoked"
    )
    parser.addoption("--campaign-output", type=Path, help="write what was measured as JSON")


@pytest.fixture(scope="session")
def rounds(request: pytest.FixtureRequest) -> int:
    """How often each process is killed."""
    value: int = request.config.getoption("--campaign-rounds", default=1)
    return value


@pytest.fixture(scope="session")
def seconds(request: pytest.FixtureRequest) -> float:
    """How long each kind of trouble lasts."""
    value: float = request.config.getoption("--campaign-seconds", default=3.0)
    return value


@pytest.fixture(scope="session")
def revocations(request: pytest.FixtureRequest) -> int:
    """How many keys are revoked."""
    value: int = request.config.getoption("--campaign-revocations", default=10)
    return value


@pytest.fixture(scope="session")
def note(request: pytest.FixtureRequest) -> Note:
    """Print a figure, and keep it in the JSON that was asked for."""
    path: Path | None = request.config.getoption("--campaign-output", default=None)

    def keep(name: str, value: Any) -> None:
        print(f"{name}: {value}", flush=True)
        if path is not None:
            known = json.loads(path.read_text()) if path.exists() else {}
            path.write_text(json.dumps({**known, name: value}, indent=2) + "\n")

    return keep

"""`sandgate migrate` with the address of a project."""

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app


def test_a_project_that_is_up_to_date(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", dsn)
    result = CliRunner().invoke(app, ["migrate"])
    assert (result.exit_code, result.output) == (0, "nothing to do\n")


@pytest.mark.parametrize("address", ["", "mysql://x", "127.0.0.1:5432"])
def test_an_address_that_is_none(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", address)
    result = CliRunner().invoke(app, ["migrate"])
    assert (result.exit_code, "DATABASE_URL must begin with" in result.stderr) == (1, True)


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://postgres:hunter2@127.0.0.1:1/postgres")
    result = CliRunner().invoke(app, ["migrate"])
    assert (result.exit_code, "The database does not answer" in result.stderr) == (1, True)
    assert "hunter2" not in result.output

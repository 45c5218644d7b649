"""The `sandgate` command as a test runs it: a folder of its own, outcome and output."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner, Result


@dataclass
class Command:
    """The `sandgate` command with only the client's sub-commands."""

    app: typer.Typer
    config: Path

    @property
    def credentials(self) -> Path:
        return self.config / "sandgate" / "credentials.json"

    def __call__(self, *arguments: str, typed: str | None = None) -> Result:
        return CliRunner().invoke(
            self.app,
            list(arguments),
            input=typed,
            env={"XDG_CONFIG_HOME": str(self.config), "SANDGATE_URL": None},
        )

    def json(self, *arguments: str, code: int = 0) -> Any:
        """What it prints on stdout with --json; all of it is one document."""
        result = self(*arguments, "--json")
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

"""Everything that can go wrong in a client command: exit code, one line, and what to do next."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer

from gateway.cli.client.output import plain


class CommandError(Exception):
    """A command that ends here. `detail` says what is wrong, `hint` what to do next.

    `problem` is the server's own document when the server refused. `Any`: its JSON.
    """

    exit_code = 1
    code = "refused"
    title = "Refused"

    def __init__(
        self, detail: str, hint: str = "", problem: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint
        self.problem = problem

    @property
    def line(self) -> str:
        """The failure in one line."""
        return plain(f"{_sentence(self.detail)} {self.hint}".strip()).replace("\n", " ")

    def document(self) -> dict[str, Any]:
        """The failure as a problem document."""
        if self.problem is not None:
            return dict(self.problem)
        return {
            "type": "about:blank",
            "title": self.title,
            "code": self.code,
            "detail": f"{_sentence(self.detail)} {self.hint}".strip(),
        }


class RefusedError(CommandError):
    """The server understood and said no, or failed."""


class InputError(CommandError):
    """The command was given something it cannot use."""

    exit_code, code, title = 2, "usage", "Wrong use of the command"


class NotLoggedInError(CommandError):
    """No session, or one that has ended."""

    exit_code, code, title = 3, "not_logged_in", "Not logged in"

    def __init__(self, detail: str = "You are not logged in") -> None:
        super().__init__(detail, "Run `sandgate login`.")


class UnreachableError(CommandError):
    """Nothing answers at the server's address."""

    exit_code, code, title = 4, "server_unreachable", "Server unreachable"


@contextmanager
def reporting(as_json: bool) -> Iterator[None]:
    """Turn a failure into its line, or its document, and its exit code."""
    try:
        yield
    except CommandError as error:
        if as_json:
            typer.echo(json.dumps(error.document(), indent=2))
        else:
            _show_start_failure(error.problem or {})
            typer.echo(f"sandgate: {error.line}", err=True)
        raise typer.Exit(error.exit_code) from error


def _show_start_failure(problem: Mapping[str, Any]) -> None:
    """What the user's code wrote before it failed, and where it did; the line follows."""
    failure = problem.get("failure")
    if not isinstance(failure, Mapping):
        return
    for member in ("log", "traceback"):
        text = failure.get(member)
        if isinstance(text, str) and text.strip():
            typer.echo(plain(text).rstrip("\n"), err=True)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."

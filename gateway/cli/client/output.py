"""What commands print: results on stdout, all else on stderr, no terminal codes of others."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else.")]


def plain(text: str) -> str:
    """Text of others without control characters: logs come from untrusted code."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )


def show(text: str) -> None:
    """A result, for people."""
    typer.echo(plain(text))


def show_json(document: object) -> None:
    """A result, for machines."""
    typer.echo(json.dumps(document, indent=2))


def show_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Aligned columns, one line a row whatever the terminal's width, so that lines can be cut."""
    cells = [
        list(header),
        *([plain(str(c if c is not None else "-")).replace("\n", " ") for c in r] for r in rows),
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        typer.echo("  ".join(padded).rstrip())


def show_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Labels and values; values are never wrapped, they are there to be copied."""
    width = max(len(label) for label, _ in pairs)
    for label, value in pairs:
        show(f"{label.ljust(width)}  {value}")


def moment(at: object) -> str:
    """A time as the server sent it, Unix seconds made readable."""
    if isinstance(at, int | float):
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return str(at)


@contextmanager
def progress(text: str, as_json: bool) -> Iterator[None]:
    """A spinner on stderr while something takes its time."""
    if as_json:
        yield
        return
    with Console(stderr=True).status(plain(text)):
        yield

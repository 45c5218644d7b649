"""CSV to JSON and back."""

import csv
import io
from typing import Literal

from fastapi import HTTPException
from pydantic import BaseModel, Field

MAX_ROWS = 5_000
MAX_COLUMNS = 200
FORMULA = ("=", "+", "-", "@", "\t", "\r")
Cell = str | int | float | bool | None
BAD_CSV = {422: {"description": "Not a table"}}


class CsvIn(BaseModel):
    """A table as text; its first row names the columns."""

    csv: str = Field(min_length=1, max_length=200_000)
    delimiter: Literal[",", ";", "\t", "|"] = ","
    numbers: bool = False


class Table(BaseModel):
    """Its rows by column."""

    columns: list[str]
    rows: list[dict[str, str | int | float]]


class RowsIn(BaseModel):
    """Rows by column; a row may leave columns out."""

    rows: list[dict[str, Cell]] = Field(min_length=1, max_length=1_000)
    delimiter: Literal[",", ";", "\t", "|"] = ","


class CsvOut(BaseModel):
    """The table as text."""

    csv: str
    quantity: int


def as_number(text: str) -> str | int | float:
    """A number where it is written like one, else the text."""
    if len(text) > 15 or not text.isascii():
        return text
    digits = text.removeprefix("-")
    if digits.isdigit() and (digits == "0" or digits[0] != "0"):
        return int(text)
    whole, dot, part = digits.partition(".")
    return float(text) if dot and whole.isdigit() and part.isdigit() else text


def safe(cell: Cell) -> Cell:
    """A text that a spreadsheet does not take for a formula."""
    is_formula = isinstance(cell, str) and cell.startswith(FORMULA)
    return f"'{cell}" if is_formula else cell


def read_rows(body: CsvIn) -> list[list[str]]:
    """All rows that are not empty."""
    try:
        reader = csv.reader(
            io.StringIO(body.csv, newline=""), delimiter=body.delimiter, strict=True
        )
        rows = [row for row in reader if row]
    except csv.Error as error:
        raise HTTPException(
            422, "This is not a table: a quote is not closed or too long"
        ) from error
    if not rows or len(rows) > MAX_ROWS:
        raise HTTPException(422, "A table has 1 to 5000 rows")
    return rows


@router.post("/csv-to-json", responses=BAD_CSV)
async def csv_to_json(body: CsvIn) -> Table:
    """Each row as an object; every row must have as many cells as the first."""
    columns, *rows = read_rows(body)
    if len(columns) > MAX_COLUMNS or len(set(columns)) < len(columns):
        raise HTTPException(422, "A table has at most 200 columns, each with a name of its own")
    if any(len(row) != len(columns) for row in rows):
        raise HTTPException(422, "A row has more or fewer cells than the first")
    read = as_number if body.numbers else str
    return Table(
        columns=columns,
        rows=[dict(zip(columns, map(read, row), strict=True)) for row in rows],
    )


@router.post("/json-to-csv", responses=BAD_CSV)
async def json_to_csv(body: RowsIn) -> CsvOut:
    """A table with all columns, in the order in which they come first."""
    columns = list(dict.fromkeys(name for row in body.rows for name in row))
    if not 1 <= len(columns) <= MAX_COLUMNS:
        raise HTTPException(422, "A table has 1 to 200 columns")
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=body.delimiter, lineterminator="\n")
    writer.writerow(map(safe, columns))
    writer.writerows([safe(row.get(name)) for name in columns] for row in body.rows)
    return CsvOut(csv=out.getvalue(), quantity=len(body.rows))

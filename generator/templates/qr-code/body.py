"""QR codes as pictures and as a matrix."""

import io
from typing import Annotated, Literal

import segno
from fastapi import HTTPException, Query, Response
from pydantic import BaseModel

Text = Annotated[str, Query(min_length=1, max_length=1000)]
Level = Literal["L", "M", "Q", "H"]
TOO_LONG = {422: {"description": "The text does not fit into a QR code"}}


class Matrix(BaseModel):
    """Rows of dark (1) and light (0) modules, without the quiet zone."""

    version: str
    level: str
    size: int
    rows: list[str]


def made(text: str, level: Level) -> segno.QRCode:
    """The code of a text."""
    try:
        return segno.make_qr(text, error=level, boost_error=False)
    except (ValueError, UnicodeEncodeError) as error:
        raise HTTPException(422, "The text does not fit into a QR code") from error


@router.get(
    "/qr.svg",
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": {}}}, **TOO_LONG},
)
async def qr_picture(
    text: Text, level: Level = "M", scale: Annotated[int, Query(ge=1, le=20)] = 4
) -> Response:
    """The code as an SVG picture."""
    out = io.BytesIO()
    made(text, level).save(out, kind="svg", scale=scale, border=4)
    return Response(out.getvalue(), media_type="image/svg+xml")


@router.get("/matrix", responses=TOO_LONG)
async def qr_matrix(text: Text, level: Level = "M") -> Matrix:
    """The code as rows of digits, to be drawn by somebody else."""
    code = made(text, level)
    rows = ["".join("1" if module else "0" for module in row) for row in code.matrix]
    return Matrix(version=str(code.version), level=level, size=len(rows), rows=rows)

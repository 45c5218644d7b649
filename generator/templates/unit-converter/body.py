"""Converts between units of the same kind."""

from typing import Annotated

from fastapi import HTTPException, Query
from pydantic import BaseModel

# unit → (kind, factor to the kind's first unit, offset)
UNITS: dict[str, tuple[str, float, float]] = {
    "m": ("length", 1.0, 0.0),
    "km": ("length", 1000.0, 0.0),
    "cm": ("length", 0.01, 0.0),
    "mm": ("length", 0.001, 0.0),
    "mi": ("length", 1609.344, 0.0),
    "yd": ("length", 0.9144, 0.0),
    "ft": ("length", 0.3048, 0.0),
    "in": ("length", 0.0254, 0.0),
    "kg": ("mass", 1.0, 0.0),
    "g": ("mass", 0.001, 0.0),
    "t": ("mass", 1000.0, 0.0),
    "lb": ("mass", 0.45359237, 0.0),
    "oz": ("mass", 0.028349523125, 0.0),
    "c": ("temperature", 1.0, 0.0),
    "f": ("temperature", 5 / 9, -160 / 9),
    "k": ("temperature", 1.0, -273.15),
    "l": ("volume", 1.0, 0.0),
    "ml": ("volume", 0.001, 0.0),
    "gal": ("volume", 3.785411784, 0.0),
    "s": ("time", 1.0, 0.0),
    "min": ("time", 60.0, 0.0),
    "h": ("time", 3600.0, 0.0),
    "d": ("time", 86400.0, 0.0),
    "b": ("data", 1.0, 0.0),
    "kb": ("data", 1000.0, 0.0),
    "mb": ("data", 1e6, 0.0),
    "gb": ("data", 1e9, 0.0),
    "kib": ("data", 1024.0, 0.0),
    "mib": ("data", 1024.0**2, 0.0),
}
Unit = Annotated[str, Query(pattern="^[a-z]{1,5}$")]


class Converted(BaseModel):
    """A value in another unit."""

    value: float
    source: str
    target: str
    kind: str
    result: float


class Units(BaseModel):
    """Units by kind."""

    kinds: dict[str, list[str]]


def unit(name: str) -> tuple[str, float, float]:
    """Its row of the table."""
    if name not in UNITS:
        raise HTTPException(404, "This unit is not known")
    return UNITS[name]


@router.get("/convert", responses={404: {"description": "A unit is not known"}})
async def convert(
    value: Annotated[float, Query(ge=-1e15, le=1e15, allow_inf_nan=False)],
    source: Unit,
    target: Unit,
) -> Converted:
    """A value in another unit of the same kind, to ten digits."""
    kind, factor, offset = unit(source)
    other, to_factor, to_offset = unit(target)
    if kind != other:
        raise HTTPException(422, "These units are of different kinds")
    result = (value * factor + offset - to_offset) / to_factor
    return Converted(
        value=value, source=source, target=target, kind=kind, result=float(f"{result:.10g}")
    )


@router.get("/units")
async def list_units() -> Units:
    """All units that are known."""
    kinds: dict[str, list[str]] = {}
    for name, (kind, _, _) in UNITS.items():
        kinds.setdefault(kind, []).append(name)
    return Units(kinds=kinds)

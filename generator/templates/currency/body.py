"""Currencies, converted with a fixed table."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated

from fastapi import HTTPException, Query
from pydantic import BaseModel

TABLE_DATE = "2026-01-02"
PER_EURO = {
    "EUR": Decimal(1),
    "AUD": Decimal("1.7600"),
    "BRL": Decimal("6.4000"),
    "CAD": Decimal("1.6100"),
    "CHF": Decimal("0.9300"),
    "CNY": Decimal("8.2000"),
    "DKK": Decimal("7.4600"),
    "GBP": Decimal("0.8700"),
    "INR": Decimal("105.00"),
    "JPY": Decimal("184.00"),
    "NOK": Decimal("11.800"),
    "PLN": Decimal("4.2200"),
    "SEK": Decimal("10.800"),
    "USD": Decimal("1.1700"),
}
WHOLE = frozenset({"JPY"})  # currencies without a smaller coin
Code = Annotated[str, Query(pattern="^[A-Z]{3}$")]


class Converted(BaseModel):
    """An amount in another currency."""

    amount: float
    source: str
    target: str
    result: float
    rate: float
    table_date: str


class Rates(BaseModel):
    """What one unit of the base buys."""

    base: str
    table_date: str
    rates: dict[str, float]


def per_euro(code: str) -> Decimal:
    """Its row of the table."""
    if code not in PER_EURO:
        raise HTTPException(404, "The table does not have this currency")
    return PER_EURO[code]


def rate_of(source: str, target: str) -> Decimal:
    """What one unit of the source buys of the target."""
    return (per_euro(target) / per_euro(source)).quantize(Decimal("0.000001"))


@router.get("/convert", responses={404: {"description": "A currency is not in the table"}})
async def convert(
    amount: Annotated[float, Query(ge=0, le=1e12, allow_inf_nan=False)],
    source: Code,
    target: Code,
) -> Converted:
    """An amount in another currency, rounded to its smallest coin."""
    exact = Decimal(str(amount)) * per_euro(target) / per_euro(source)
    coin = Decimal(1) if target in WHOLE else Decimal("0.01")
    return Converted(
        amount=amount,
        source=source,
        target=target,
        result=float(exact.quantize(coin, ROUND_HALF_UP)),
        rate=float(rate_of(source, target)),
        table_date=TABLE_DATE,
    )


@router.get("/rates", responses={404: {"description": "The base is not in the table"}})
async def rates(base: Code = "EUR") -> Rates:
    """All rates of one currency."""
    return Rates(
        base=base,
        table_date=TABLE_DATE,
        rates={code: float(rate_of(base, code)) for code in sorted(PER_EURO)},
    )

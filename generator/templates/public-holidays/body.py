"""Public holidays of some countries, computed for any year."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Annotated, Literal

from fastapi import Path, Query
from pydantic import BaseModel

Country = Literal["AT", "DE", "FR", "GB", "US"]
Year = Annotated[int, Path(ge=1990, le=2100)]
MONDAY, THURSDAY, SATURDAY, SUNDAY = 0, 3, 5, 6

FIXED: dict[str, tuple[tuple[int, int, str], ...]] = {
    "AT": (
        (1, 1, "New Year's Day"),
        (1, 6, "Epiphany"),
        (5, 1, "Labour Day"),
        (8, 15, "Assumption Day"),
        (10, 26, "National Day"),
        (11, 1, "All Saints' Day"),
        (12, 8, "Immaculate Conception"),
        (12, 25, "Christmas Day"),
        (12, 26, "St Stephen's Day"),
    ),
    "DE": (
        (1, 1, "New Year's Day"),
        (5, 1, "Labour Day"),
        (10, 3, "Day of German Unity"),
        (12, 25, "Christmas Day"),
        (12, 26, "Second Day of Christmas"),
    ),
    "FR": (
        (1, 1, "New Year's Day"),
        (5, 1, "Labour Day"),
        (5, 8, "Victory Day"),
        (7, 14, "Bastille Day"),
        (8, 15, "Assumption Day"),
        (11, 1, "All Saints' Day"),
        (11, 11, "Armistice Day"),
        (12, 25, "Christmas Day"),
    ),
    "US": (
        (1, 1, "New Year's Day"),
        (6, 19, "Juneteenth"),
        (7, 4, "Independence Day"),
        (11, 11, "Veterans Day"),
        (12, 25, "Christmas Day"),
    ),
}
JUNETEENTH_SINCE = 2021
# days after Easter Sunday
MOVING: dict[str, tuple[tuple[int, str], ...]] = {
    "AT": (
        (1, "Easter Monday"),
        (39, "Ascension Day"),
        (50, "Whit Monday"),
        (60, "Corpus Christi"),
    ),
    "DE": ((-2, "Good Friday"), (1, "Easter Monday"), (39, "Ascension Day"), (50, "Whit Monday")),
    "FR": ((1, "Easter Monday"), (39, "Ascension Day"), (50, "Whit Monday")),
    "GB": ((-2, "Good Friday"), (1, "Easter Monday")),
}


class Holiday(BaseModel):
    """A day and its name."""

    date: date
    name: str


class Holidays(BaseModel):
    """All of a year, in their order."""

    country: Country
    year: int
    items: list[Holiday]


class Answer(BaseModel):
    """Whether the day is a holiday, and which."""

    country: Country
    date: date
    is_holiday: bool
    name: str | None


def easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar, after Meeus, Jones and Butcher."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    weekday = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * weekday) // 451
    month, day = divmod(h + weekday - 7 * m + 114, 31)
    return date(year, month, day + 1)


def nth(year: int, month: int, weekday: int, n: int) -> date:
    """The n-th such weekday of a month; -1 is the last."""
    if n > 0:
        first = date(year, month, 1)
        return first + timedelta((weekday - first.weekday()) % 7 + 7 * (n - 1))
    last = date(year + month // 12, month % 12 + 1, 1) - timedelta(1)
    return last - timedelta((last.weekday() - weekday) % 7)


def of_states(year: int) -> Iterator[tuple[date, str]]:
    """Federal holidays of the United States on a weekday of a month."""
    yield nth(year, 1, MONDAY, 3), "Martin Luther King Jr. Day"
    yield nth(year, 2, MONDAY, 3), "Washington's Birthday"
    yield nth(year, 5, MONDAY, -1), "Memorial Day"
    yield nth(year, 9, MONDAY, 1), "Labor Day"
    yield nth(year, 10, MONDAY, 2), "Columbus Day"
    yield nth(year, 11, THURSDAY, 4), "Thanksgiving Day"


def of_kingdom(year: int) -> Iterator[tuple[date, str]]:
    """Bank holidays of England and Wales beside Easter; weekends move on to working days."""
    new_year, christmas = date(year, 1, 1), date(year, 12, 25)
    late = {SATURDAY: 2, SUNDAY: 1}
    yield new_year + timedelta(late.get(new_year.weekday(), 0)), "New Year's Day"
    yield nth(year, 5, MONDAY, 1), "Early May bank holiday"
    yield nth(year, 5, MONDAY, -1), "Spring bank holiday"
    yield nth(year, 8, MONDAY, -1), "Summer bank holiday"
    yield (
        christmas + timedelta({SATURDAY: 2, SUNDAY: 2}.get(christmas.weekday(), 0)),
        "Christmas Day",
    )
    boxing = christmas + timedelta(1)
    yield boxing + timedelta({SATURDAY: 2, SUNDAY: 2}.get(boxing.weekday(), 0)), "Boxing Day"


def days(country: str, year: int) -> list[Holiday]:
    """All of a country and a year."""
    found = [(date(year, month, day), name) for month, day, name in FIXED.get(country, ())]
    sunday = easter(year)
    found += [(sunday + timedelta(after), name) for after, name in MOVING.get(country, ())]
    if country == "US":
        found = [pair for pair in found if pair[1] != "Juneteenth" or year >= JUNETEENTH_SINCE]
        found += of_states(year)
    if country == "GB":
        found += of_kingdom(year)
    return [Holiday(date=day, name=name) for day, name in sorted(found)]


@router.get("/holidays/{country}/{year}")
async def list_holidays(country: Country, year: Year) -> Holidays:
    """Holidays of the whole country in a year."""
    return Holidays(country=country, year=year, items=days(country, year))


@router.get("/is-holiday")
async def is_holiday(
    country: Country, day: Annotated[date, Query(ge=date(1990, 1, 1), le=date(2100, 12, 31))]
) -> Answer:
    """Whether a day is a holiday in the whole country."""
    names = [holiday.name for holiday in days(country, day.year) if holiday.date == day]
    return Answer(
        country=country, date=day, is_holiday=bool(names), name=names[0] if names else None
    )

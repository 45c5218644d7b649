"""Does it all add up? Journal, usage, ledger, balances and counters, one against the other."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.metering import segments
from gateway.store import ledger, usage
from gateway.store.database import Database

SHOWN = 200  # differences and pending calls that are listed; all are counted
_NEVER = 253_402_300_800.0  # the end of year 9999

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class JournalState:
    """What lies in the journal: on its way, or not to be stored at all."""

    pending: int = 0  # whole lines whose call is not stored yet
    stored: int = 0  # whole lines whose segment has not been removed yet
    segments: int = 0
    waiting: tuple[Json, ...] = ()  # the first pending calls
    differences: tuple[Json, ...] = ()


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The outcome. Pending calls are no difference: the worker stores them in a moment."""

    since: str
    calls: int
    priced: int
    charged_nano_usd: int
    hours: tuple[Json, ...]
    journal: JournalState
    difference_count: int
    differences: tuple[Json, ...] = field(default=())

    @property
    def is_clean(self) -> bool:
        """Whether everything adds up."""
        return self.difference_count == 0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form."""
        return {"clean": self.is_clean, **asdict(self)}


async def reconcile(
    database: Database, folder: Path, *, days: int = 7, now: datetime | None = None
) -> Reconciliation:
    """Look at the calls of the last days, all balances, and the counters of the last day."""
    since = (now or datetime.now(UTC)) - timedelta(days=days)
    since = max(since, await usage.kept_since(database) or since)  # before it there are sums only
    journal = await _journal(database, folder)
    found = await ledger.reconcile(database, since)
    return Reconciliation(
        since=found["since"],
        calls=found["calls"],
        priced=found["priced"],
        charged_nano_usd=found["charged"],
        hours=tuple(found["hours"]),
        journal=journal,
        difference_count=found["difference_count"] + len(journal.differences),
        differences=(*journal.differences, *found["differences"])[:SHOWN],
    )


async def _journal(database: Database, folder: Path) -> JournalState:
    """Every whole line, of open segments too; one segment at a time is in memory."""
    paths = segments.segments(folder)
    pending, stored = 0, 0
    waiting: list[Json] = []
    differences: list[Json] = []
    for path in paths:
        calls = _calls(path, differences)
        unstored = await _unstored(database, calls, differences)
        pending += len(unstored)
        stored += len(calls) - len(unstored)
        waiting += [_named(call) for call in unstored[: SHOWN - len(waiting)]]
    for path in sorted((folder / "bad").glob("*")):
        lines = len(_whole_lines(path))
        differences.append({"kind": "journal: set aside", "segment": path.name, "found": lines})
    return JournalState(pending, stored, len(paths), tuple(waiting), tuple(differences))


def _calls(path: Path, differences: list[Json]) -> list[dict[str, Any]]:
    """The calls of one segment; what is none is a difference."""
    calls = []
    for line in _whole_lines(path):
        call = segments.parse(line)
        if call is None or not 0 < call["at"] < _NEVER:
            differences.append({"kind": "journal: not a call", "segment": path.name})
        else:
            calls.append(call)
    return calls


async def _unstored(
    database: Database, calls: list[dict[str, Any]], differences: list[Json]
) -> list[dict[str, Any]]:
    """Calls that are on their way; one that is stored with another price is a difference."""
    if not calls:
        return []
    asked = [(call["request_id"], call["at"]) for call in calls]
    stored = await ledger.stored_prices(database, asked)
    for call in calls:
        price, kept = call.get("price_nano_usd", 0), stored.get(call["request_id"])
        if kept is not None and kept != price:
            differences.append({**_named(call), "kind": "journal and usage",
                                "expected": price, "found": kept})  # fmt: skip
    return [call for call in calls if call["request_id"] not in stored]


def _whole_lines(path: Path) -> list[bytes]:
    """Without locking: writers and the drain go on; a line that is being written is not whole."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []  # drained in the meantime
    return [line + b"\n" for line in content.split(b"\n")[:-1]]


def _named(call: Mapping[str, Any]) -> Json:
    at = datetime.fromtimestamp(call["at"], UTC).isoformat()
    return {"request_id": call["request_id"], "at": at, "api_id": call["api_id"]}

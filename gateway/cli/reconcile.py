"""`sandgate reconcile`: proves that everything that was answered is recorded and paid once."""

from collections.abc import Mapping
from typing import Any

from gateway.cli.admin import store
from gateway.cli.amounts import dollars
from gateway.operations.reconcile import Reconciliation, reconcile
from gateway.settings import Settings

LONGEST_SECONDS = 1800.0  # a million calls take half a minute
_COLUMNS = ("at", "request_id", "account", "subject", "segment", "expected", "found")
_ALWAYS = ("expected", "found")


async def examine(settings: Settings, days: int) -> Reconciliation:
    """Whether Sandgate runs or not."""
    async with store(settings, seconds=LONGEST_SECONDS) as database:
        return await reconcile(database, settings.data_dir / "journal", days=days)


def render(found: Reconciliation) -> str:
    """The outcome for people."""
    journal = found.journal
    lines = [
        f"since {found.since}",
        f"{found.calls} calls, {found.priced} of them paid, {dollars(found.charged_nano_usd)}",
        f"{journal.pending} calls in the journal wait to be stored ({journal.segments} segments)",
    ]
    lines += [f"  waits: {call['at']} {call['request_id']}" for call in journal.waiting[:20]]
    if found.is_clean:
        return "\n".join([*lines, "journal, usage, ledger, balances and counters agree"])
    lines.append(f"{found.difference_count} differences:")
    lines += [f"  {_difference(each)}" for each in found.differences]
    return "\n".join(lines)


def _difference(each: Mapping[str, Any]) -> str:
    """`kind  name=value …`, what is not there left out, except what was expected and found."""
    shown = [str(each["kind"])]
    shown += [
        f"{name}={'nothing' if each[name] is None else each[name]}"
        for name in _COLUMNS
        if name in each and (each[name] is not None or name in _ALWAYS)
    ]
    if "window" in each:
        shown.append(f"window={each['window']} bucket={each['bucket']}")
    return "  ".join(shown)

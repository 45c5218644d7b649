"""Reconciling the journal with what is stored, and the words for it."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.reconcile import render
from gateway.metering.drain import Drain
from gateway.operations.reconcile import Reconciliation, reconcile
from gateway.store.postgres import PostgresDatabase
from tests.support.factories import MadeApi, make_api, make_user, usage_call


@pytest.fixture
async def api(database: PostgresDatabase, dsn: str) -> MadeApi:
    return await make_api(database, (await make_user(dsn)).tenant_id)


@pytest.fixture
async def buyer(dsn: str) -> str:
    return (await make_user(dsn)).tenant_id


def paid(api: MadeApi, buyer: str, price: int = 5) -> dict[str, Any]:
    limits = [[f"tenant:{buyer}", "hour"]]
    return usage_call(api, time.time(), caller_tenant_id=buyer, price_nano_usd=price, limits=limits)


def write(folder: Path, *calls: dict[str, Any], tail: bytes = b"", name: str = "1-1-a") -> None:
    """A segment with these calls."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = b"".join(json.dumps(call).encode() + b"\n" for call in calls)
    (folder / f"{name}.jsonl").write_bytes(lines + tail)


async def test_what_is_not_drained_yet_is_listed_and_no_difference(
    database: PostgresDatabase, api: MadeApi, buyer: str, tmp_path: Path
) -> None:
    calls = [paid(api, buyer), paid(api, buyer)]
    write(tmp_path, *calls, tail=b'{"torn')
    before = await reconcile(database, tmp_path)
    assert (before.is_clean, before.calls, before.journal.pending) == (True, 0, 2)
    assert {call["request_id"] for call in before.journal.waiting} == {
        call["request_id"] for call in calls
    }
    await Drain(tmp_path, database).once()
    after = await reconcile(database, tmp_path)
    assert (after.is_clean, after.calls, after.priced) == (True, 2, 2)
    assert (after.charged_nano_usd, after.journal.pending, after.journal.segments) == (10, 0, 0)


async def test_a_line_that_was_stored_with_another_price_is_found(
    database: PostgresDatabase, api: MadeApi, buyer: str, tmp_path: Path
) -> None:
    call = paid(api, buyer)
    write(tmp_path, call)
    await Drain(tmp_path, database).once()
    write(tmp_path, call | {"price_nano_usd": 6})
    found = await reconcile(database, tmp_path)
    (difference,) = found.differences
    assert (difference["kind"], difference["expected"], difference["found"]) == (
        "journal and usage", 6, 5
    )  # fmt: skip
    assert found.journal.stored == 1


async def test_calls_that_can_never_be_stored_are_found(
    database: PostgresDatabase, api: MadeApi, buyer: str, tmp_path: Path
) -> None:
    """Before the drain looks at them, and after it has set them aside."""
    write(tmp_path, paid(api, buyer) | {"api_id": "nonsense"}, {"no": "call"})
    before = await reconcile(database, tmp_path)
    assert [each["kind"] for each in before.differences] == ["journal: not a call"]
    await Drain(tmp_path, database).once()
    after = await reconcile(database, tmp_path)
    assert [(each["kind"], each["found"]) for each in after.differences] == [
        ("journal: set aside", 2)
    ]
    assert not after.is_clean


async def test_differences_of_the_database_come_through(
    database: PostgresDatabase, api: MadeApi, buyer: str, tmp_path: Path, owner: Any
) -> None:
    write(tmp_path, paid(api, buyer))
    await Drain(tmp_path, database).once()
    await owner.execute("update public.api_usage set price_nano_usd = 9")
    found = await reconcile(database, tmp_path)
    assert (found.is_clean, found.difference_count) == (False, 2)
    assert found.to_json()["clean"] is False
    text = render(found)
    assert "2 differences" in text
    assert "expected=9  found=5" in text


async def test_a_missing_journal_is_an_empty_one(
    database: PostgresDatabase, tmp_path: Path
) -> None:
    found: Reconciliation = await reconcile(database, tmp_path / "none")
    assert found.is_clean
    assert "agree" in render(found)

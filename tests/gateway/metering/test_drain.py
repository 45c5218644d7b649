"""The drain: every whole line reaches the database once, and stays on the disk until it has."""

import asyncio
import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from gateway.metering import drain as drain_module
from gateway.metering.drain import Drain, Drained, pause_after
from gateway.metering.journal import Journal
from gateway.metering.segments import segments
from gateway.store.database import (
    SERVICE,
    Database,
    DatabaseError,
    DatabaseUnavailableError,
    Identity,
)
from tests.support.records import CallRecord
from tests.support.waiting import until


def record(**changes: Any) -> CallRecord:
    """One call."""
    values: dict[str, Any] = {
        "request_id": uuid4().hex,
        "at": time.time(),
        "api_id": str(uuid4()),
        "tenant_id": str(uuid4()),
        "caller_tenant_id": str(uuid4()),
        "key_id": str(uuid4()),
        "version": 1,
        "method": "GET",
        "path": "/",
        "status_code": 200,
        "error_code": None,
        "response_time_us": 5,
        "request_size_bytes": 0,
        "response_size_bytes": 2,
        "limits": (),
    }
    return CallRecord(**values | changes)


class Table:
    """The recording functions in memory. Only `rpc` is there: the drain may need nothing else."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.batches: list[int] = []
        self.one_by_one: list[int] = []  # those of them in which a refused call is looked for
        self.error: Exception | None = None
        self.most: int | None = None  # calls that can be stored in the time of a statement
        self.poison: set[str] = set()  # request ids that make the whole statement fail
        self.rejects: set[str] = set()  # request ids that are refused alone

    async def rpc(self, function: str, arguments: Mapping[str, Any], *, identity: Identity) -> Any:
        """Idempotent, as the real one."""
        assert identity == SERVICE
        at_once = function == "record_columns"
        calls = calls_of(arguments) if at_once else arguments["p_calls"]
        self.batches.append(len(calls))
        if not at_once:
            self.one_by_one.append(len(calls))
        if self.error is not None:
            raise self.error
        if self.most is not None and len(calls) > self.most:
            raise DatabaseUnavailableError
        refused = self.poison | self.rejects if at_once else self.poison
        if any(call["request_id"] in refused for call in calls):
            raise DatabaseError("22P02", "invalid input syntax")
        good = [call for call in calls if call["request_id"] not in self.rejects]
        fresh = [call for call in good if call["request_id"] not in self.rows]
        self.rows |= {call["request_id"]: call for call in fresh}
        return {
            "inserted": len(fresh),
            "duplicates": len(good) - len(fresh),
            "rejected": len(calls) - len(good),
        }


def calls_of(arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The request ids of columns."""
    return [{"request_id": text} for text in json.loads(f"[{arguments['p_request_id'][1:-1]}]")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of the journal."""
    return tmp_path / "journal"


@pytest.fixture
def table() -> Table:
    """Empty."""
    return Table()


def draining(folder: Path, table: Table) -> Drain:
    """Over the double."""
    return Drain(folder, table, seconds=0.01)


def write(folder: Path, *lines: bytes) -> Path:
    """A closed segment with these lines."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{time.time_ns()}-1-{uuid4().hex[:8]}.jsonl"
    path.write_bytes(b"".join(lines))
    return path


async def test_closed_segments_are_stored_and_removed(folder: Path, table: Table) -> None:
    """In batches of five thousand at most."""
    records = [record() for _ in range(12_500)]
    write(folder, *(each.to_line() for each in records))
    drained = await draining(folder, table).once()
    assert drained.inserted == 12_500
    assert table.batches == [5000, 5000, 2500]
    assert set(table.rows) == {each.request_id for each in records}
    assert segments(folder) == []


async def test_an_open_segment_is_left_alone(folder: Path, table: Table) -> None:
    """Until its writer lets go."""
    journal = Journal(folder, segment_seconds=1)
    journal.append(record().to_line())
    assert (await draining(folder, table).once()).inserted == 0
    journal.rotate()
    assert (await draining(folder, table).once()).inserted == 1
    journal.close()


async def test_while_the_database_is_down_everything_stays(folder: Path, table: Table) -> None:
    """And is stored when it is back; nothing is asked for the other segments meanwhile."""
    for _ in range(3):
        write(folder, record().to_line())
    table.error = DatabaseUnavailableError("down")
    drained = await draining(folder, table).once()
    assert (drained.failed, len(table.batches), len(segments(folder))) == (1, 1, 3)
    table.error = None
    assert (await draining(folder, table).once()).inserted == 3


async def test_it_goes_on_by_itself_when_the_database_is_back(folder: Path, table: Table) -> None:
    """Less and less often while it is down."""
    write(folder, record().to_line())
    table.error = DatabaseUnavailableError("down")
    running = asyncio.create_task(draining(folder, table).run())
    await until(lambda: len(table.batches) >= 3)
    table.error = None
    await until(lambda: segments(folder) == [])
    running.cancel()
    assert len(table.rows) == 1


async def test_a_slow_database_gets_smaller_batches_until_it_takes_them(
    folder: Path, table: Table
) -> None:
    """A batch that is never stored in time would hold up everything behind it for ever."""
    write(folder, *(record().to_line() for _ in range(3000)))
    table.most = 700
    drain = draining(folder, table)
    outcomes = [await drain.once() for _ in range(4)]
    assert [each.failed for each in outcomes] == [1, 1, 1, 0]
    assert (len(table.rows), segments(folder)) == (3000, [])
    table.most = None
    write(folder, *(record().to_line() for _ in range(1500)))
    await drain.once()
    assert table.batches[-2:] == [1250, 250]


def test_the_pause_grows_while_nothing_goes_and_only_then() -> None:
    """One segment that cannot be drained would make all others wait for half a minute."""
    pause = 0.5
    seen = []
    for _ in range(8):
        pause = pause_after(Drained(failed=1), pause, 0.5)
        seen.append(pause)
    assert seen == [1, 2, 4, 8, 16, 30, 30, 30]
    assert pause_after(Drained(failed=1, inserted=1), pause, 0.5) == 0.5
    assert pause_after(Drained(), pause, 0.5) == 0.5


async def test_a_segment_stored_twice_counts_once(folder: Path, table: Table) -> None:
    """The drain died between storing and removing."""
    lines = [record().to_line() for _ in range(5)]
    write(folder, *lines)
    await draining(folder, table).once()
    write(folder, *lines)
    drained = await draining(folder, table).once()
    assert (drained.inserted, drained.duplicates) == (0, 5)
    assert len(table.rows) == 5


async def test_a_torn_last_line_is_dropped(folder: Path, table: Table) -> None:
    """Its writer was killed in the middle of it; the call was not answered."""
    write(folder, record().to_line(), record().to_line()[:-20])
    drained = await draining(folder, table).once()
    assert (drained.inserted, drained.rejected) == (1, 0)
    assert segments(folder) == []


@pytest.mark.parametrize(
    "bad",
    [
        b"not json\n",
        b"[]\n",
        b"{}\n",
        b"\xff\xfe\n",
        b"\n",
        record().to_line().replace(b'"status_code":200', b'"status_code":"200"'),
        record().to_line().replace(b'"status_code":200', b'"status_code":true'),
        b"x" * 200_000 + b"\n",
        b"[" * 60_000 + b"\n",
        record(limits=(("x",),)).to_line(),
        record(limits=(("x", 1),)).to_line(),
        b"NaN\n",
        *(
            re.sub(rb'"at":[0-9.]+', b'"at":' + at, record().to_line())
            for at in (b"1e999", b"NaN", b"-Infinity")
        ),
    ],
)
async def test_a_malformed_line_is_set_aside(folder: Path, table: Table, bad: bytes) -> None:
    """In `bad/`, and does not keep the others from being stored."""
    good = [record(), record()]
    path = write(folder, good[0].to_line(), bad, good[1].to_line())
    drained = await draining(folder, table).once()
    assert drained.inserted == 2
    assert drained.rejected >= 1
    kept = (folder / "bad" / path.name).read_bytes()
    assert kept.replace(b"\n", b"") == bad.replace(b"\n", b"")
    assert segments(folder) == []


@pytest.mark.parametrize("how", ["poison", "rejects"])
async def test_a_record_the_database_refuses_is_set_aside_alone(
    folder: Path, table: Table, how: str
) -> None:
    """Whether it refuses the statement or only counts the row; found among many."""
    records = [record() for _ in range(2200)]
    getattr(table, how).add(records[1037].request_id)
    path = write(folder, *(each.to_line() for each in records))
    drained = await draining(folder, table).once()
    assert len(table.rows) == 2199
    assert drained.rejected == 1
    assert max(table.one_by_one) <= 200
    assert (folder / "bad" / path.name).read_bytes() == records[1037].to_line()
    assert segments(folder) == []


async def test_a_statement_refused_for_another_reason_keeps_its_segment(
    folder: Path, table: Table
) -> None:
    """The others go on."""
    write(folder, record().to_line())
    table.error = DatabaseError("42883", "function does not exist")
    drained = await draining(folder, table).once()
    assert (drained.failed, len(segments(folder))) == (1, 1)


async def test_two_drains_at_once_do_not_harm_each_other(folder: Path, table: Table) -> None:
    """The worker's and that of a starting gateway."""
    for _ in range(20):
        write(folder, *(record().to_line() for _ in range(10)))
    outcomes = await asyncio.gather(*(draining(folder, table).once() for _ in range(3)))
    assert sum(each.inserted for each in outcomes) == 200
    assert segments(folder) == []


async def test_a_segment_that_cannot_be_read_keeps_nothing_from_the_others(
    folder: Path, table: Table
) -> None:
    """A bad sector is there for ever."""
    folder.mkdir()
    (folder / "1-1-a.jsonl").mkdir()  # reading a directory fails as well
    write(folder, record().to_line())
    drained = await draining(folder, table).once()
    assert (drained.inserted, drained.failed) == (1, 1)


async def test_lines_that_cannot_be_set_aside_keep_nothing_from_the_others(
    folder: Path, table: Table
) -> None:
    """On a full disk they stay where they are; draining what is behind them makes room."""
    path = write(folder, b"not json\n")
    write(folder, record().to_line())
    (folder / "bad").write_bytes(b"")  # nothing can be put into it
    drained = await draining(folder, table).once()
    assert (drained.inserted, drained.failed) == (1, 1)
    assert segments(folder) == [path]


async def test_lines_that_are_set_aside_again_are_there_once(folder: Path, table: Table) -> None:
    """The drain died between setting them aside and removing the segment."""
    lines = [b"not json\n", record().to_line()]
    path = write(folder, *lines)
    for _ in range(2):
        path.write_bytes(b"".join(lines))
        await draining(folder, table).once()
    assert [each.name for each in (folder / "bad").iterdir()] == [path.name]
    assert (folder / "bad" / path.name).read_bytes() == b"not json\n"


async def test_a_batch_is_bounded_in_bytes(
    folder: Path, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long its lines are."""
    lines = [record(at=1795358012.25).to_line() for _ in range(7)]
    monkeypatch.setattr("gateway.metering.segments.MAX_BATCH_BYTES", len(lines[0]) * 3)
    write(folder, *lines)
    await draining(folder, table).once()
    assert table.batches == [3, 3, 1]


async def test_what_a_dead_writer_never_showed_is_removed(folder: Path, table: Table) -> None:
    """Once it is old enough to be nobody's."""
    folder.mkdir()
    old, young = folder / "1-1-a.new", folder / "2-2-b.new"
    old.touch()
    young.touch()
    os.utime(old, (0, 0))
    await draining(folder, table).once()
    assert not old.exists()
    assert young.exists()


async def test_a_missing_folder_is_an_empty_journal(folder: Path, table: Table) -> None:
    """Nothing was ever written."""
    assert (await draining(folder, table).once()).failed == 0


async def test_calls_reach_the_real_table_once(folder: Path, database: Database) -> None:
    """And their limits' counters with them."""
    subject = f"tenant:{uuid4()}"
    records = [record(limits=((subject, "hour"),)) for _ in range(30)]
    lines = [each.to_line() for each in records]
    for _ in range(2):
        write(folder, *lines)
        await Drain(folder, database).once()
    rows = await database.select("api_usage", identity=SERVICE)
    assert {row["request_id"].replace("-", "") for row in rows} == {r.request_id for r in records}
    counts = await database.rpc("rate_limit_counts", {"p_now": time.time()}, identity=SERVICE)
    assert sum(row["count"] for row in counts if row["subject"] == subject) == 30


async def test_one_bad_record_does_not_block_the_real_table(
    folder: Path, database: Database
) -> None:
    """An API id that is none is set aside; the rest is stored."""
    bad = record(api_id="nonsense")
    path = write(folder, record().to_line(), bad.to_line(), record().to_line())
    drained = await Drain(folder, database).once()
    assert (drained.inserted, drained.rejected) == (2, 1)
    kept = [json.loads(line) for line in (folder / "bad" / path.name).read_bytes().splitlines()]
    assert [each["request_id"] for each in kept] == [bad.request_id]


def test_the_batch_is_bounded() -> None:
    """What one statement may hold, and what it may store one by one."""
    assert (drain_module.BATCH, drain_module.FEW) == (5000, 200)

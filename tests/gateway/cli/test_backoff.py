"""The wait before a restart."""

from gateway.cli.backoff import LONGEST_SECONDS, STABLE_SECONDS, Record


def test_first_crash_waits_a_moment() -> None:
    assert Record().after_crash(1).wait_seconds == 0.1


def test_wait_doubles_with_each_crash_in_a_row() -> None:
    record, waits = Record(), []
    for _ in range(4):
        record = record.after_crash(0.5)
        waits.append(round(record.wait_seconds, 3))
    assert waits == [0.1, 0.2, 0.4, 0.8]


def test_wait_is_capped() -> None:
    assert Record(crashes=50).wait_seconds == LONGEST_SECONDS


def test_a_long_run_clears_the_record() -> None:
    assert Record(crashes=9).after_crash(STABLE_SECONDS) == Record(crashes=1)


def test_nothing_crashed_needs_no_wait() -> None:
    assert Record().wait_seconds == 0

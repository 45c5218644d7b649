"""Signed addresses: ours, for this file, for a while."""

from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest

from gateway.operations.file_urls import LIFE_SECONDS, FileUrlError, check, signed_path, url_key

KEY = url_key(b"a secret of the installation")
NOW = 1_800_000_123.0
FILE = UUID("5f0c1d52-8b0e-4c41-9d6c-0a0000000001")


def parts(path: str) -> tuple[int, str]:
    query = parse_qs(urlsplit(path).query)
    return int(query["expires"][0]), query["signature"][0]


@pytest.mark.parametrize("later", [0, LIFE_SECONDS - 1])
def test_an_address_opens_while_it_lives(later: float) -> None:
    check(FILE, *parts(signed_path(FILE, KEY, NOW)), [KEY], NOW + later)


def test_it_stays_the_same_for_a_while() -> None:
    start = NOW - NOW % LIFE_SECONDS
    assert signed_path(FILE, KEY, start) == signed_path(FILE, KEY, start + LIFE_SECONDS - 1)


def test_it_opens_nothing_when_its_time_is_over() -> None:
    expires, signature = parts(signed_path(FILE, KEY, NOW))
    check(FILE, expires, signature, [KEY], expires - 1)
    with pytest.raises(FileUrlError):
        check(FILE, expires, signature, [KEY], expires)


def test_nobody_prolongs_it_moves_it_or_makes_one() -> None:
    expires, signature = parts(signed_path(FILE, KEY, NOW))
    for attempt in (
        (FILE, expires + 1, signature, [KEY]),
        (uuid4(), expires, signature, [KEY]),
        (FILE, expires, signature, [url_key(b"another secret")]),
        (FILE, expires, "", [KEY]),
        (FILE, expires, signature[:-1], [KEY]),
        (FILE, expires, "é\ud800", [KEY]),
    ):
        with pytest.raises(FileUrlError):
            check(*attempt, NOW)

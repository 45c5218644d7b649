"""Secrets at rest: what was sealed opens in its own place only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.store.sealing import Seal, UnsealError

KEY, OTHER = b"k" * 32, b"o" * 32
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(TEXT)
def test_what_was_sealed_opens(value: str) -> None:
    seal = Seal(KEY)
    assert seal.open("api", "NAME", seal.close("api", "NAME", value)) == value


def test_the_same_value_never_looks_the_same() -> None:
    seal = Seal(KEY)
    sealed = {seal.close("api", "NAME", "value") for _ in range(50)}
    assert len(sealed) == 50
    assert all(b"value" not in each for each in sealed)


@pytest.mark.parametrize(("api", "name"), [("other", "NAME"), ("api", "OTHER"), ("api\0NAME", "")])
def test_it_opens_in_its_own_place_only(api: str, name: str) -> None:
    seal = Seal(KEY)
    with pytest.raises(UnsealError):
        seal.open(api, name, seal.close("api", "NAME", "value"))


def test_another_key_says_so() -> None:
    with pytest.raises(UnsealError, match="another key"):
        Seal(OTHER).open("api", "NAME", Seal(KEY).close("api", "NAME", "value"))


@pytest.mark.parametrize("position", range(0, 34, 3))
def test_a_changed_byte_is_noticed(position: int) -> None:
    seal = Seal(KEY)
    sealed = bytearray(seal.close("api", "NAME", "value"))
    sealed[position] ^= 1
    with pytest.raises(UnsealError):
        seal.open("api", "NAME", bytes(sealed))


@pytest.mark.parametrize("length", [0, 1, 5, 10, 17, 20, 32])
def test_what_is_cut_off_is_noticed(length: int) -> None:
    seal = Seal(KEY)
    with pytest.raises(UnsealError):
        seal.open("api", "NAME", seal.close("api", "NAME", "value")[:length])


@pytest.mark.parametrize("key", [b"", b"short", b"k" * 31, b"k" * 33])
def test_a_key_of_another_size_is_refused(key: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Seal(key)

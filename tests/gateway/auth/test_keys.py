"""The text of keys: shape, checksum, display form and hash."""

import re
from itertools import combinations
from string import ascii_letters, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.keys import display_form, generate_key, hash_key, is_well_formed

SECRET = b"s" * 32
BASE62 = digits + ascii_letters


def test_a_key_is_prefix_32_random_and_6_checksum_characters() -> None:
    assert re.fullmatch(r"sg_live_[0-9A-Za-z]{38}", generate_key())


def test_generated_keys_are_well_formed_and_never_repeat() -> None:
    keys = {generate_key() for _ in range(5_000)}
    assert len(keys) == 5_000
    assert all(map(is_well_formed, keys))


def test_the_random_part_uses_the_whole_alphabet() -> None:
    seen = {character for _ in range(200) for character in generate_key()[8:40]}
    assert seen == set(BASE62)


def test_every_single_changed_character_is_rejected() -> None:
    key = generate_key()
    for place in range(len(key)):
        for character in BASE62 + "_":
            typo = key[:place] + character + key[place + 1 :]
            assert typo == key or not is_well_formed(typo)


@pytest.mark.parametrize("_", range(20))
def test_every_two_swapped_characters_are_rejected(_: int) -> None:
    key = generate_key()
    for first, second in combinations(range(len(key)), 2):
        swapped = list(key)
        swapped[first], swapped[second] = swapped[second], swapped[first]
        text = "".join(swapped)
        assert text == key or not is_well_formed(text)


@given(st.integers(0, 46), st.sampled_from(BASE62))
def test_a_missing_or_additional_character_is_rejected(place: int, character: str) -> None:
    key = generate_key()
    assert not is_well_formed(key[:place] + character + key[place:])
    shorter = key[:place] + key[place + 1 :]
    assert shorter == key or not is_well_formed(shorter)


@given(st.text())
def test_arbitrary_text_is_rejected(text: str) -> None:
    assert not is_well_formed(text)


@given(st.text(min_size=38, max_size=38))
def test_arbitrary_text_behind_the_prefix_is_rejected(text: str) -> None:
    assert not is_well_formed("sg_live_" + text)


@pytest.mark.parametrize(
    "junk",
    [
        "",
        "sg_live_",
        "sg_live_" + "\0" * 38,
        "sg_live_" + "é" * 38,
        "sg_live_" + "٣" * 38,  # digits elsewhere
        "sg_live_" + "\ud800" * 38,  # cannot be encoded
        "sg_test_" + "a" * 38,
        "a" * 50_000_000,
    ],
    ids=["empty", "prefix", "nul", "accent", "foreign-digit", "surrogate", "test", "huge"],
)
def test_junk_is_rejected(junk: str) -> None:
    assert not is_well_formed(junk)


def test_a_checksum_beyond_32_bits_is_rejected() -> None:
    assert not is_well_formed(generate_key()[:-6] + "zzzzzz")


def test_surrounding_space_is_not_forgiven() -> None:
    assert not is_well_formed(" " + generate_key())
    assert not is_well_formed(generate_key() + "\n")


def test_the_display_form_shows_two_characters_and_the_last_four() -> None:
    key = generate_key()
    assert display_form(key) == f"sg_live_{key[8:10]}…{key[-4:]}"


def test_the_hash_depends_on_key_and_secret() -> None:
    key = generate_key()
    assert re.fullmatch(r"[0-9a-f]{64}", hash_key(key, SECRET))
    assert hash_key(key, SECRET) == hash_key(key, SECRET)
    assert hash_key(key, SECRET) != hash_key(key, b"t" * 32)
    assert hash_key(key, SECRET) != hash_key(generate_key(), SECRET)


def test_an_empty_secret_is_an_error() -> None:
    with pytest.raises(ValueError, match="empty"):
        hash_key(generate_key(), b"")

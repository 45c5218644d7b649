"""Slugs from names."""

import re
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.operations.slugs import MAX_CHARACTERS, slug_of
from gateway.reserved import RESERVED_SEGMENTS

_STORED = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Cat Facts", "cat-facts"),
        ("Über-Café №5", "uber-cafe-no5"),
        ("  a  /  b  ", "a-b"),
        ("api", "api-api"),
        ("Admin", "api-admin"),
        ("x" * 90, "x" * 40),
    ],
)
def test_slug_is_readable(name: str, slug: str) -> None:
    assert slug_of(name) == slug


def test_name_without_latin_letters_is_not_a_reserved_slug() -> None:
    assert slug_of("日本") not in RESERVED_SEGMENTS


def test_name_that_is_an_id_does_not_become_one() -> None:
    for name in (str(uuid4()), uuid4().hex):
        with pytest.raises(ValueError, match="badly formed"):
            UUID(slug_of(name))


@given(st.text(min_size=1, max_size=80), st.sampled_from(["", "a1b2c3"]))
def test_slug_of_any_name_can_be_stored_and_routed(name: str, suffix: str) -> None:
    slug = slug_of(name, suffix)
    assert _STORED.fullmatch(slug)
    assert len(slug) <= MAX_CHARACTERS
    assert slug not in RESERVED_SEGMENTS
    assert slug.endswith(suffix)

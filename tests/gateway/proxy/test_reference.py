"""Which raw paths mean an API."""

import pytest

from gateway.proxy.reference import Reference, parse_reference

UUID = b"0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"/cats", Reference("cats", None, b"/cats", b"/")),
        (b"/cats/", Reference("cats", None, b"/cats", b"/")),
        (b"/cats//x", Reference("cats", None, b"/cats", b"//x")),
        (b"/cats@2/a%2Fb", Reference("cats", 2, b"/cats@2", b"/a%2Fb")),
        (b"/9-lives_x", Reference("9-lives_x", None, b"/9-lives_x", b"/")),
        (b"/" + UUID, Reference(UUID.decode(), None, b"/" + UUID, b"/")),
        (b"/" + UUID.upper(), Reference(UUID.decode(), None, b"/" + UUID.upper(), b"/")),
        (b"/" + UUID + b"@12/", Reference(UUID.decode(), 12, b"/" + UUID + b"@12", b"/")),
    ],
)
def test_an_id_or_slug_with_or_without_a_pin(raw: bytes, expected: Reference) -> None:
    """The rest is the app's, byte for byte."""
    assert parse_reference(raw) == expected


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"/",
        b"//cats",
        b"cats",
        b"/Cats",
        b"/c%61ts",
        b"/cats%2Fx",
        b"/cats@",
        b"/cats@0",
        b"/cats@-1",
        b"/cats@1x",
        b"/cats@1@2",
        b"/cats@9999999999",
        b"/../cats",
        b"/.well-known",
        b"/cats;x",
        b"/cats.txt",
        b"/-cats",
        b"/" + b"a" * 64,
        b"/cats\n",
        b"/c\xc3\xa4ts",
    ],
)
def test_everything_else_means_no_api(raw: bytes) -> None:
    """No decoding, no cleaning up."""
    assert parse_reference(raw) is None

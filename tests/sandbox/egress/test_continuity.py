"""The next door is the same to sandboxes that trust the one before."""

import os
import ssl
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from sandbox.egress import authority
from sandbox.egress.authority import Authority
from sandbox.egress.continuity import authority_at
from sandbox.egress.hosts import normalise


def trusted_by(client: Authority, server: Authority) -> bool:
    """Whether who trusts the one takes the other for a.example."""
    context = ssl.create_default_context(cadata=client.certificate)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = context.wrap_bio(to_client, to_server, server_hostname="a.example")
    theirs = server.context(normalise("a.example")).wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for end in (ours, theirs):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                return False
    return ours.version() is not None


def test_a_client_of_the_first_door_trusts_the_second(tmp_path: Path) -> None:
    first, second = authority_at(tmp_path / "key"), authority_at(tmp_path / "key")
    assert second.certificate == first.certificate
    assert trusted_by(first, second)
    assert not trusted_by(Authority(), second)


def test_the_key_is_for_the_door_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        authority_at(tmp_path / "key")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def open_to_others(path: Path) -> None:
    path.chmod(0o640)


def of_somebody_else(path: Path) -> None:
    os.chown(path, 12345, -1)


def a_link(path: Path) -> None:
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def with_another_key(path: Path) -> None:
    mine, other = path.read_bytes(), Authority().to_pem()
    mark = b"-----BEGIN CERTIFICATE-----"
    path.write_bytes(other.partition(mark)[0] + mark + mine.partition(mark)[2])


@pytest.mark.parametrize(
    "spoil", [open_to_others, of_somebody_else, a_link, cut_short, with_another_key]
)
def test_what_may_not_be_ours_is_replaced(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    if spoil is of_somebody_else and os.geteuid() != 0:
        pytest.skip("only root gives files away")
    path = tmp_path / "key"
    first = authority_at(path)
    spoil(path)
    second = authority_at(path)
    assert second.certificate != first.certificate
    assert authority_at(path).certificate == second.certificate
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600


def test_a_certificate_is_renewed_long_before_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authority, "_YEARS", timedelta(days=300))
    first = authority_at(tmp_path / "key")
    monkeypatch.undo()
    assert authority_at(tmp_path / "key").certificate != first.certificate

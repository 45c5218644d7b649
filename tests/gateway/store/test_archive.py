"""A backup is whole or refused, whichever byte is missing or another one."""

import hashlib
import io
import tarfile

import pytest

from gateway.store.archive import FORMAT, Archive, ArchiveWriter, BackupError

PARTS = {"journal/1.jsonl": b"{}\n", "database.dump": b"PGDMP" + bytes(1000), "empty": b""}


def written(parts: dict[str, bytes] = PARTS) -> bytes:
    file = io.BytesIO()
    writer = ArchiveWriter(file)
    for name, content in parts.items():
        writer.add(name, [content[:3], content[3:]])
    writer.finish(
        made_at="2026-11-22", sandgate="0.1.0", postgres=18, schema=["1", "2"], needs=["A"]
    )
    return file.getvalue()


def vouched_for(body: bytes, number: int = FORMAT) -> io.BytesIO:
    """Any bytes under a last line that is right."""
    digest = hashlib.sha256(body).hexdigest()
    return io.BytesIO(body + f"sandgate-backup {number:04} sha256 {digest}\n".encode())


def test_what_was_written_is_read() -> None:
    archive = Archive(io.BytesIO(written()))
    assert {name: b"".join(archive.read(name)) for name in archive.names()} == PARTS
    assert archive.manifest.schema == ("1", "2")
    assert archive.manifest.needs == ("A",)
    assert archive.names("journal/") == ["journal/1.jsonl"]


def test_tar_lists_it() -> None:
    with tarfile.open(fileobj=io.BytesIO(written())) as tar:
        assert tar.getnames() == [*PARTS, "manifest.json"]


def test_cut_off_at_any_byte_it_is_refused() -> None:
    whole = written()
    for size in range(len(whole)):
        with pytest.raises(BackupError):
            Archive(io.BytesIO(whole[:size]))


def test_changed_in_any_byte_it_is_refused() -> None:
    whole = written()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 + place % 255
        with pytest.raises(BackupError):
            Archive(io.BytesIO(changed))


def test_longer_by_a_byte_it_is_refused() -> None:
    for content in (written() + b"\n", b"\0" + written()):
        with pytest.raises(BackupError):
            Archive(io.BytesIO(content))


def test_of_a_newer_format_it_says_so() -> None:
    with pytest.raises(BackupError, match="newer release"):
        Archive(vouched_for(b"whatever", FORMAT + 1))


@pytest.mark.parametrize("body", [b"", bytes(1024), b"no tar" * 1000], ids=["none", "nul", "text"])
def test_a_digest_alone_makes_no_backup(body: bytes) -> None:
    with pytest.raises(BackupError):
        Archive(vouched_for(body))


def test_a_part_that_the_manifest_does_not_name_is_refused() -> None:
    body = written()[: -len("sandgate-backup 0001 sha256 ") - 65]
    stray = io.BytesIO()
    ArchiveWriter(stray).add("stray", [b"x"])
    with pytest.raises(BackupError, match="manifest"):
        Archive(vouched_for(stray.getvalue() + body))


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "journal/../../up"])
def test_a_part_never_leaves_its_folder(name: str) -> None:
    with pytest.raises(BackupError, match="it has a part"):
        Archive(io.BytesIO(written({name: b"x"})))


def test_a_long_name_is_kept() -> None:
    name = "uploads/" + "a" * 150
    archive = Archive(io.BytesIO(written({name: b"x"})))
    assert archive.names() == [name]

"""The scanner: what it did not call clean does not pass."""

import asyncio
from pathlib import Path

import pytest

from gateway.operations.virus_scan import Clamd, InfectedFileError, ScanUnavailableError
from tests.support.files import EICAR, clamd


async def test_a_clean_file_passes_and_was_seen_whole(tmp_path: Path) -> None:
    content = bytes(range(256)) * 1000
    async with clamd(tmp_path) as scanner:
        await Clamd(str(scanner.address)).scan(content)
    assert scanner.seen == [content]


async def test_a_known_virus_is_refused(tmp_path: Path) -> None:
    async with clamd(tmp_path) as scanner:
        with pytest.raises(InfectedFileError):
            await Clamd(str(scanner.address)).scan(b"text\n" + EICAR)


@pytest.mark.parametrize(
    "answer",
    [
        b"INSTREAM size limit exceeded. ERROR",
        b"UNKNOWN COMMAND",
        b"",
        b"stream: OK stream: OK",
        b"x" * 10_000,
    ],
)
async def test_any_other_answer_is_no_answer(tmp_path: Path, answer: bytes) -> None:
    async with clamd(tmp_path, answer) as scanner:
        with pytest.raises(ScanUnavailableError):
            await Clamd(str(scanner.address)).scan(b"text")


async def test_a_scanner_that_is_away_lets_nothing_pass(tmp_path: Path) -> None:
    with pytest.raises(ScanUnavailableError):
        await Clamd(str(tmp_path / "nobody.sock")).scan(b"text")


async def test_a_scanner_that_is_silent_lets_nothing_pass(tmp_path: Path) -> None:
    left = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        left.set()

    path = tmp_path / "silent.sock"
    async with await asyncio.start_unix_server(silent, path):
        with pytest.raises(ScanUnavailableError):
            await Clamd(str(path), seconds=0.05).scan(b"text")
        await left.wait()


async def test_a_scanner_that_hangs_up_lets_nothing_pass(tmp_path: Path) -> None:
    async def rude(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    path = tmp_path / "rude.sock"
    async with await asyncio.start_unix_server(rude, path):
        with pytest.raises(ScanUnavailableError):
            await Clamd(str(path)).scan(b"x" * 5_000_000)


async def test_a_scanner_may_be_elsewhere() -> None:
    async def clean(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\0\0\0\0")
        writer.write(b"stream: OK\0")
        writer.close()

    server = await asyncio.start_server(clean, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        await Clamd(f"tcp://127.0.0.1:{port}").scan(b"text")

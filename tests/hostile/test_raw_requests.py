"""Every raw request ends as its row says, over a real socket, and leaves nothing behind."""

import asyncio
import contextlib

import pytest

from tests.hostile.raw_requests import GROUPS, ROWS
from tests.hostile.raw_rows import Row, head
from tests.support.datapath import DataPath, data_path
from tests.support.rawhttp import ok, read_request

SECONDS = 3.0
LAST = head(b"Connection: close", target=b"%API%/last")


class Sandbox:
    """Remembers the bytes that reached it."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers each call with what it is."""
        while True:
            raw = await read_request(reader)
            self.seen.append(raw)
            writer.write(ok(b"ok"))
            await writer.drain()


async def answers(
    path: DataPath, sent: bytes, count: int, until_over: bool
) -> tuple[list[int], bool]:
    """The statuses that came before the connection ended, or so many; whether it ended."""
    reader, writer = await path.connect()
    statuses: list[int] = []
    try:
        writer.write(sent)
        async with asyncio.timeout(SECONDS):
            while len(statuses) < count:
                status = await one(reader)
                if status is None:
                    return statuses, True
                if status >= 200:
                    statuses.append(status)
            return statuses, until_over and not await reader.read(1)
    except TimeoutError:
        return statuses, False
    except (ConnectionError, asyncio.IncompleteReadError):
        return statuses, True
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def one(reader: asyncio.StreamReader) -> int | None:
    """The status of the next answer, read to its end; None at the end of the connection."""
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
    except asyncio.IncompleteReadError:
        return None
    for line in lines:
        if line.startswith(b"content-length:"):
            await reader.readexactly(int(line.partition(b":")[2]))
    return int(lines[0].split()[1])


async def failure(row: Row, path: DataPath, sandbox: Sandbox, api: bytes, key: bytes) -> str:
    """What was otherwise than the row says; nothing when all was as it says."""
    sandbox.seen.clear()
    stays = row.end == "stays"
    sent = (row.sent + (LAST if stays else b"")).replace(b"%API%", api).replace(b"%KEY%", key)
    wanted = [*row.statuses, *([200] if stays else [])]
    more = row.end == "closes"  # would be seen, if there were one
    statuses, is_over = await answers(path, sent, len(wanted) + more, row.end != "either")
    seen = b"\n".join(sandbox.seen)
    if statuses != wanted:
        return f"{row.name}: {statuses}, not {wanted}"
    if not is_over and row.end != "either":
        return f"{row.name}: the connection is still open"
    if wrong := [text for text in row.sees if text not in seen]:
        return f"{row.name}: {wrong} did not arrive"
    if wrong := [text for text in row.lacks if text in seen.lower()]:
        return f"{row.name}: {wrong} arrived"
    if stays and b"GET /last " not in sandbox.seen[-1]:
        return f"{row.name}: the last call was not the last"
    return ""


@pytest.mark.parametrize("group", GROUPS)
async def test_raw_requests_end_as_their_rows_say(group: str) -> None:
    """All on one gateway, since none of them may disturb the next."""
    sandbox = Sandbox()
    async with data_path() as path:
        route, key = path.serve(sandbox)
        api = b"/" + route.api_id.encode()
        found = [await failure(row, path, sandbox, api, key.encode()) for row in GROUPS[group]]
    assert "\n".join(text for text in found if text) == ""


def test_the_corpus_is_large_and_its_names_are_unique() -> None:
    assert len(ROWS) >= 150
    assert len({row.name for row in ROWS}) == len(ROWS)

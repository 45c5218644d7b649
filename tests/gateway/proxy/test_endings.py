"""Calls that a sandbox leaves unanswered: the manager hears of it, the caller hears why."""

import asyncio

import pytest

from gateway.proxy import endings
from gateway.proxy.endings import Endings
from sandbox.types import EndReason, ManagerUnavailableError, SandboxStatus
from tests.support.datapath import DataPath, data_path
from tests.support.rawhttp import Handler, never, ok, read_request, replies, serve_forever
from tests.support.waiting import until


def spins_once(arrived: asyncio.Event) -> Handler:
    """The first connection is never answered; all others are."""
    spinning = False

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal spinning
        if spinning:
            await serve_forever(reader, writer)
        spinning = True
        await read_request(reader)
        arrived.set()
        await reader.read()

    return handle


async def test_a_call_past_its_deadline_is_reported_once_per_sandbox() -> None:
    """However many calls it concerns, while the report is under way."""
    async with data_path(call_seconds=1) as path:
        route, key = path.serve(never)
        answers = await asyncio.gather(*(path.call(f"/{route.api_id}", key) for _ in range(10)))
        assert {answer.json()["code"] for answer in answers} == {"api_timeout"}
        await until(lambda: bool(path.sandboxes.overdues))
        assert set(path.sandboxes.overdues) == {"box-1"}
        assert len(path.sandboxes.overdues) < 10


async def test_an_upload_that_stays_away_is_not_the_sandboxs_fault() -> None:
    """Nor is a caller that leaves."""
    async with data_path(call_seconds=1) as path:
        route, key = path.serve(never)
        head = f"POST /{route.api_id} HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n"
        answer = await path.raw(f"{head}Content-Length: 9\r\n\r\nhalf".encode(), "POST")
        assert answer.json()["code"] == "upload_too_slow"
        assert path.sandboxes.overdues == []


async def test_a_spinning_sandbox_is_replaced_for_everybody_else() -> None:
    """The manager ends what is overdue, and the next call gets a fresh one."""
    async with data_path(call_seconds=2) as path:
        route, key = path.serve(spins_once(asyncio.Event()))
        first = await path.call(f"/{route.api_id}", key)
        assert (first.status, first.json()["code"]) == (504, "api_timeout")
        await until(lambda: path.sandboxes.overdues == ["box-1"])
        await path.sandboxes.kill(path.sandboxes.started[0])
        assert (await path.call(f"/{route.api_id}", key)).status == 200
        assert len(path.sandboxes.started) == 2


async def test_a_manager_that_is_away_does_not_hear_of_it_and_nothing_else_happens() -> None:
    """The report is for the manager alone."""
    async with data_path(call_seconds=1) as path:
        route, key = path.serve(never)
        assert (await path.call(f"/{route.api_id}", key)).status == 504
        path.sandboxes.fails = ManagerUnavailableError("down")
        assert (await path.call(f"/{route.api_id}", key)).status == 504


@pytest.mark.parametrize(
    ("end", "detail"),
    [
        (EndReason.MEMORY, "It ran out of memory."),
        (EndReason.CPU, "It used more processor time than a call may."),
        (EndReason.DEADLINE, "It was stopped because it had stopped answering."),
        (EndReason.SYSCALL, "It was stopped for a system call that is not allowed."),
        (EndReason.CRASH, "It ended the connection before its answer was complete."),
    ],
)
async def test_a_call_that_died_with_its_sandbox_says_why(
    path: DataPath, end: EndReason, detail: str
) -> None:
    """In words of ours; what the manager wrote is for the owner."""
    arrived = asyncio.Event()
    route, key = path.serve(spins_once(arrived))
    path.sandboxes.end = end
    calls = [asyncio.create_task(path.call(f"/{route.api_id}", key))]
    async with asyncio.timeout(20):
        await arrived.wait()
    await path.sandboxes.kill(path.sandboxes.started[0])
    answer = await calls[0]
    assert (answer.status, answer.json()["code"]) == (502, "api_died")
    assert answer.json()["detail"] == detail


async def test_many_calls_ask_once_why(path: DataPath) -> None:
    """The question is shared."""
    arrived = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        await read_request(reader)
        arrived += 1
        await reader.read()

    route, key = path.serve(handle)
    path.sandboxes.end = EndReason.MEMORY
    calls = [asyncio.create_task(path.call(f"/{route.api_id}", key)) for _ in range(50)]
    await until(lambda: arrived == 50)
    await path.sandboxes.kill(path.sandboxes.started[0])
    details = {(await call).json()["detail"] for call in calls}
    assert details == {"It ran out of memory."}
    assert len(path.sandboxes.asked) < 10


async def test_a_manager_that_cannot_tell_costs_the_caller_no_answer(path: DataPath) -> None:
    """The general text is good enough."""
    route, key = path.serve(replies(b"", then_close=True))
    answer = await path.call(f"/{route.api_id}", key)
    assert answer.json()["detail"] == "It ended the connection before its answer was complete."


class Silent:
    """A manager that takes a question and never answers."""

    def __init__(self) -> None:
        self.questions = 0
        self.cancelled = 0

    async def overdue(self, _sandbox_id: str) -> None:
        """Hangs."""
        await self.sandboxes("")

    async def sandboxes(self, _api_id: str) -> list[SandboxStatus]:
        """Hangs."""
        self.questions += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return []


async def test_a_manager_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both questions have a deadline of their own."""
    monkeypatch.setattr(endings, "OVERDUE_SECONDS", 0.1)
    manager = Silent()
    known = Endings(manager)
    known.overdue("box")
    known.overdue("box")
    assert await known.why("api", "box") == ""
    await until(lambda: manager.cancelled == 2)
    assert manager.questions == 2
    known.overdue("box")
    await until(lambda: manager.questions == 3)
    await known.close()
    assert manager.cancelled == 3


async def test_an_answer_that_has_begun_just_breaks_off(path: DataPath) -> None:
    """There is nobody to tell the reason to."""
    route, key = path.serve(
        replies(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", then_close=True)
    )
    assert not (await path.call(f"/{route.api_id}", key)).is_whole
    assert path.sandboxes.asked == []


async def test_one_answer_is_not_disturbed_by_anothers_deadline() -> None:
    """The sandbox stays in use while the manager looks at it."""
    async with data_path(call_seconds=2) as path:

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                if b" /slow " in await read_request(reader):
                    await reader.read()
                    return
                writer.write(ok())
                await writer.drain()

        route, key = path.serve(handle)
        slow = asyncio.create_task(path.call(f"/{route.api_id}/slow", key))
        while not slow.done():
            assert (await path.call(f"/{route.api_id}/quick", key)).status == 200
        assert (await slow).json()["code"] == "api_timeout"
        assert len(path.sandboxes.started) == 1

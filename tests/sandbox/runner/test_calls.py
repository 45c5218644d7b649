"""The page as both sides use it, without a process of its own for either."""

import asyncio
from typing import Any

import pytest

from sandbox.runner import page as p
from sandbox.runner.budget import Budget
from sandbox.runner.calls import Calls
from sandbox.runner.page import new_page
from sandbox.runner.watch import Watch, cpu_of, read_page
from tests.support.waiting import until

SCOPE = {"type": "http", "method": "GET", "raw_path": b"/x"}


class Sent:
    """What the application sent."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    async def send(self, message: dict[str, Any]) -> None:
        self.messages.append(message)


async def receive() -> Any:
    raise AssertionError("nobody reads here")


def seen(page: "memoryview[int]") -> int:
    return len(read_page(page, 0, 0).calls)


async def test_a_call_is_in_the_page_while_it_runs() -> None:
    page, busy = new_page(), list[int]()
    calls = Calls(page, lambda: busy.append(1))
    go_on = asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start"})
        await go_on.wait()

    task = asyncio.create_task(calls.run(application, SCOPE, receive, Sent().send, 5000))
    await until(lambda: seen(page) == 1)
    (call,) = read_page(page, 0, 0).calls
    assert call.is_streaming
    assert call.deadline == 0
    assert busy == [1]
    go_on.set()
    await task
    look = read_page(page, 0, 0)
    assert look.calls == ()
    assert look.ended_time > look.ended_held > 0


async def test_nobody_is_told_while_somebody_looks() -> None:
    page, busy = new_page(), list[int]()
    page[p.WATCHED] = 1
    calls = Calls(page, lambda: busy.append(1))

    async def application(scope: Any, receive: Any, send: Any) -> None: ...

    await calls.run(application, SCOPE, receive, Sent().send, 0)
    assert busy == []


async def test_results_errors_and_cancels_pass_as_if_nothing_were_between() -> None:
    calls = Calls(new_page(), lambda: None)
    steps: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.wait_for(asyncio.sleep(60), 0.01)
        except TimeoutError:
            steps.append("inner timeout")
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            steps.append("cancelled from outside")
            raise

    task = asyncio.create_task(calls.run(application, SCOPE, receive, Sent().send, 0))
    await until(lambda: bool(steps))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert steps == ["inner timeout", "cancelled from outside"]

    async def failing(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0)
        raise ValueError("odd")

    with pytest.raises(ValueError, match="odd"):
        await calls.run(failing, SCOPE, receive, Sent().send, 0)


async def test_more_calls_than_slots_run_unwatched() -> None:
    page = new_page()
    calls = Calls(page, lambda: None)
    go_on = asyncio.Event()
    done: list[int] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await go_on.wait()
        done.append(1)

    tasks = [
        asyncio.create_task(calls.run(application, SCOPE, receive, Sent().send, 0))
        for _ in range(p.SLOTS + 5)
    ]
    await until(lambda: seen(page) == p.SLOTS)
    go_on.set()
    await asyncio.gather(*tasks)
    assert len(done) == p.SLOTS + 5
    assert seen(page) == 0


async def test_a_call_is_cancelled_when_the_supervisor_asks_for_it() -> None:
    page, sent = new_page(), Sent()
    calls = Calls(page, lambda: None)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(60)

    task = asyncio.create_task(calls.run(application, SCOPE, receive, sent.send, 0))
    await until(lambda: seen(page) == 1)
    calls.look_at_page()  # a bell without a reason
    (call,) = read_page(page, 0, 0).calls
    page[p.CANCEL + call.slot] = call.ident
    calls.look_at_page()
    await task
    assert sent.messages[0]["status"] == 504
    assert not task.cancelled()


def test_looking_stops_when_nothing_runs_and_the_flag_goes_first() -> None:
    page = new_page()
    watch = Watch(page, Budget(), lambda: 0, lambda: None)
    _, seconds = watch.begin()
    assert seconds is not None
    assert page[p.WATCHED] == 1
    _, seconds = watch.look()
    assert seconds is not None  # once more, for a call that began just before the flag went
    assert page[p.WATCHED] == 0
    assert watch.look() == (None, None)
    assert page[p.WATCHED] == 0


def test_a_running_call_keeps_it_looking_and_is_asked_to_end_over_its_budget() -> None:
    page, rings, used = new_page(), list[int](), [0]
    page[p.IDENT + 3] = 42
    watch = Watch(page, Budget(1), lambda: used[0], lambda: rings.append(1))
    watch.begin()
    used[0] = 2_000_000_000
    ending, seconds = watch.look()
    assert ending is None
    assert seconds is not None
    assert page[p.CANCEL + 3] == 42
    assert rings == [1]
    assert page[p.WATCHED] == 1


def test_processor_time_of_a_process_that_is_gone_is_none() -> None:
    assert cpu_of(2**22 + 1) == 0

"""What this gateway and the manager tell each other about sandboxes that end or should."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

import structlog

from sandbox.types import EndReason, SandboxError, SandboxStatus

_log = structlog.get_logger(__name__)

OVERDUE_SECONDS = 10.0  # for the manager's answer; it looks at the sandbox in its own time
WHY_SECONDS = 0.2  # a caller waits no longer for the reason of its failure
_FIRST_PAUSE = 0.01

_TEXTS: Final = {
    EndReason.MEMORY: "It ran out of memory.",
    EndReason.CPU: "It used more processor time than a call may.",
    EndReason.DEADLINE: "It was stopped because it had stopped answering.",
    EndReason.SYSCALL: "It was stopped for a system call that is not allowed.",
}


class Witness(Protocol):
    """The part of the manager that knows how sandboxes do."""

    async def overdue(self, sandbox_id: str) -> None:
        """A call passed its deadline unanswered: look at it."""
        ...

    async def sandboxes(self, api_id: str) -> Sequence[SandboxStatus]:
        """The living and the last that ended, with the reason."""
        ...


class Endings:
    """Asks and tells once per sandbox at a time, however many calls it concerns."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._reports: dict[str, asyncio.Task[None]] = {}
        self._questions: dict[str, asyncio.Task[EndReason | None]] = {}

    def overdue(self, sandbox_id: str) -> None:
        """A call passed its deadline in there. Nobody waits for what comes of it."""
        if sandbox_id not in self._reports:
            task = self._reports[sandbox_id] = asyncio.create_task(self._report(sandbox_id))
            task.add_done_callback(lambda _: self._reports.pop(sandbox_id, None))

    async def why(self, api_id: str, sandbox_id: str) -> str:
        """Why a sandbox ended, for its callers; empty when that is not known at once."""
        task = self._questions.get(sandbox_id)
        if task is None:
            task = self._questions[sandbox_id] = asyncio.create_task(self._ask(api_id, sandbox_id))
            task.add_done_callback(lambda _: self._questions.pop(sandbox_id, None))
        await asyncio.wait({task}, timeout=2 * WHY_SECONDS)
        if not task.done() or task.cancelled() or task.exception() is not None:
            return ""
        return _TEXTS.get(task.result() or EndReason.CRASH, "")

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = [*self._reports.values(), *self._questions.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _report(self, sandbox_id: str) -> None:
        try:
            async with asyncio.timeout(OVERDUE_SECONDS):
                await self._witness.overdue(sandbox_id)
        except (SandboxError, TimeoutError) as error:
            _log.warning("overdue_not_told", sandbox_id=sandbox_id, error=repr(error))

    async def _ask(self, api_id: str, sandbox_id: str) -> EndReason | None:
        """The manager hears of an end at the same time as we do, so it is asked again."""
        pause = _FIRST_PAUSE
        try:
            async with asyncio.timeout(WHY_SECONDS):
                while True:
                    for status in await self._witness.sandboxes(api_id):
                        if status.sandbox_id == sandbox_id and status.status == "ended":
                            return status.end
                    await asyncio.sleep(pause)
                    pause *= 2
        except (SandboxError, TimeoutError):
            return None

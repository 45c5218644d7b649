"""Bounded memory of what sandboxes printed: those that live, and the last that ended per API."""

import time
from collections import OrderedDict

from sandbox.runner.logs import Ring
from sandbox.types import LogLine

_ENDED_APIS = 1000
_ENDED_CHARACTERS = 8 * 1024 * 1024  # of all that ended, together
# what a terminal would act on; a tab is harmless
_CONTROL = dict.fromkeys((*range(32), 127, *range(128, 160)), "�")
del _CONTROL[9]


class SandboxLog:
    """Lines of one sandbox."""

    def __init__(self) -> None:
        self._ring = Ring()

    def add(self, at: float, stream: str, text: str) -> None:
        """Keep a line that came from a sandbox; nothing in it is trusted."""
        known = stream if stream in ("stdout", "stderr") else "stderr"
        self._ring.add(at, known, text[:4096].translate(_CONTROL))

    def note(self, stream: str, text: str) -> None:
        """A line of ours about the sandbox; `stream` says whose word it is."""
        self._ring.add(time.time(), stream, text[:4096].translate(_CONTROL))

    def clear(self) -> None:
        """The runner is about to send everything again."""
        self._ring.clear()

    def lines(self) -> list[LogLine]:
        """Oldest first."""
        return [LogLine(at, stream, text) for at, stream, text in self._ring]

    @property
    def characters(self) -> int:
        """How much it holds."""
        return sum(len(text) for _, _, text in self._ring)


class Logbook:
    """Logs by API."""

    def __init__(self) -> None:
        self._living: dict[str, dict[str, SandboxLog]] = {}
        self._ended: OrderedDict[str, tuple[SandboxLog, int]] = OrderedDict()
        self._characters = 0  # in those that ended

    def begin(self, api_id: str, sandbox_id: str, log: SandboxLog) -> None:
        """A sandbox got this API's code."""
        self._living.setdefault(api_id, {})[sandbox_id] = log

    def end(self, api_id: str, sandbox_id: str) -> None:
        """It is gone; its log stays until the next one of the API ends."""
        living = self._living.get(api_id, {})
        log = living.pop(sandbox_id, None)
        if not living:
            self._living.pop(api_id, None)
        if log is None:
            return
        if api_id in self._ended:
            self._drop(api_id)
        self._ended[api_id] = (log, log.characters)
        self._characters += log.characters
        while len(self._ended) > _ENDED_APIS or self._characters > _ENDED_CHARACTERS:
            self._drop(next(iter(self._ended)))

    def _drop(self, api_id: str) -> None:
        self._characters -= self._ended.pop(api_id)[1]

    def tail(self, api_id: str, count: int) -> list[LogLine]:
        """The newest lines of an API over all its sandboxes, oldest of them first."""
        logs = list(self._living.get(api_id, {}).values())
        if api_id in self._ended:
            logs.append(self._ended[api_id][0])
        lines = sorted((line for log in logs for line in log.lines()), key=lambda line: line.at)
        return lines[-count:] if count > 0 else []

"""What a runner has said so far. User code could have said it: it only concerns itself."""

import asyncio

from sandbox import verdicts
from sandbox.faults import EndedError
from sandbox.logbook import SandboxLog
from sandbox.runner.frames import Message
from sandbox.types import AppDocument, EndReason


class Hearing:
    """Takes messages in; `verdict` is done when the start went well or failed."""

    def __init__(self, log: SandboxLog) -> None:
        self.accepted = False  # it has taken the code
        self.end: EndReason | None = None
        self.reason = ""
        self.verdict: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.document: asyncio.Future[AppDocument] | None = None  # while one is asked for
        self._log = log

    def hear(self, message: Message) -> None:
        """One message."""
        match message.get("type"):
            case "log":
                self._log.add(*verdicts.log_line(message))
            case "specialising":
                self.accepted = True
            case "ready":
                self.decide(None)
            case "failed":
                error = verdicts.start_failure(message)
                self.reason = error.reason
                self.decide(error)
            case "document" if self.document is not None and not self.document.done():
                self.document.set_result(verdicts.document(message))
            case "exited":
                self.reason = verdicts.text(message.get("reason"))
                self.end = verdicts.end_reason(message)

    def decide(self, error: Exception | None) -> None:
        """How the start went; only the first word counts."""
        if self.verdict.done():
            return
        if error is None:
            self.verdict.set_result(None)
            return
        self.verdict.set_exception(error)
        self.verdict.exception()  # looked at here, in case nobody waits any more

    def over(self, reason: str) -> None:
        """Nothing more will be said."""
        self.reason = self.reason or reason
        self.decide(EndedError(self.reason))

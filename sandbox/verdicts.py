"""Reads what a runner says as untrusted values: start failures, log lines, reasons."""

import binascii
import time
from typing import Any

from sandbox.runner.frames import Message
from sandbox.types import AppDocument, EndReason, Resources, StartFailedError, StartFailure

_REASON = 2000
_TRACEBACK = 64_000
_DOCUMENT = 720_000  # 512 KiB, and what the marks of secrets may add


def text(value: Any, limit: int = _REASON) -> str:
    """A string of bounded length that can be encoded, whatever came."""
    if not isinstance(value, str):
        return ""
    return value[:limit].encode("utf-8", "replace").decode()


def start_failure(message: Message) -> StartFailedError:
    """The owner's report from a `failed` message."""
    try:
        kind = StartFailure(message.get("kind", ""))
    except ValueError:
        kind = StartFailure.EXITED
    line = message.get("line")
    return StartFailedError(
        kind,
        text(message.get("reason")) or "the code did not start",
        file=text(message.get("file"), 200) or "app.py",
        line=line if isinstance(line, int) and line >= 0 else None,
        traceback=text(message.get("traceback"), _TRACEBACK),
    )


def document(message: Message) -> AppDocument:
    """What a `document` message holds, still hostile text."""
    data = message.get("data")
    try:
        found = binascii.a2b_base64(data if isinstance(data, str) else "").decode()
    except ValueError:
        return AppDocument("", "the document is not UTF-8 text")
    if len(found) > _DOCUMENT:
        return AppDocument("", "the document is too large")
    said = text(message.get("note"), 500)
    return AppDocument(found, "" if found else said or "the app has no document")


# what a runner may say about its own end; how it was stopped by us, we know ourselves
_OWN_ENDS = frozenset(
    {EndReason.MEMORY, EndReason.CPU, EndReason.DEADLINE, EndReason.SYSCALL, EndReason.CRASH}
)
_IN_WORDS = {
    EndReason.MEMORY: "it used more than its {memory} MB of memory",
    EndReason.SYSCALL: "it was killed for a system call that nobody may make",
    EndReason.CPU: "one call used all the processor time that a call may have",
    EndReason.DEADLINE: "a call passed its deadline and it did not answer any more",
}


def end_reason(message: Message) -> EndReason | None:
    """The reason in an `exited` message, when it is one that a runner can know."""
    try:
        end = EndReason(text(message.get("end"), 20))
    except ValueError:
        return None
    return end if end in _OWN_ENDS else None


def in_words(end: EndReason, said: str, resources: Resources) -> str:
    """Why it ended, for its owner; `said` is what the runner or the manager had to say."""
    words = _IN_WORDS.get(end, "").format(memory=resources.memory_mb)
    return words or said or str(end)


def out_of_memory(error: StartFailedError, resources: Resources) -> StartFailedError:
    """The same failure with the kernel's reason."""
    return StartFailedError(
        StartFailure.MEMORY,
        f"the code used more than its {resources.memory_mb} MB of memory while it started",
        file=error.file,
        line=error.line,
        traceback=error.traceback,
    )


def log_line(message: Message) -> tuple[float, str, str]:
    """Time, stream and text. A time that makes no sense is replaced by ours."""
    at, now = message.get("at"), time.time()
    if not isinstance(at, int | float) or not now - 86_400 <= at <= now + 1:
        at = now
    return float(at), text(message.get("stream"), 10), text(message.get("text"), 4096)

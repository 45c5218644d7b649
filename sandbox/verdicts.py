"""Reads what a runner says as untrusted values: start failures, log lines, reasons."""

import time
from typing import Any

from sandbox.runner.frames import Message
from sandbox.types import Resources, StartFailedError, StartFailure

_REASON = 2000
_TRACEBACK = 64_000


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

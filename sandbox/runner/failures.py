"""Turns what user code raised while it started into a report for its owner."""

import os
import traceback
from importlib import metadata

from .endings import Failure

REASON_CHARACTERS = 2000
TRACEBACK_CHARACTERS = 32_000
_OURS = os.path.dirname(__file__) + os.sep


class NoApplicationError(Exception):
    """The module ran, but there is nothing in it that can be served."""


class LifespanError(Exception):
    """The app's own start-up reported a failure in words instead of raising."""


class LoadDeadlineError(BaseException):
    """Raised into user code that is still loading when its time is nearly over.

    A BaseException, because `except Exception` in a loop must not swallow it.
    """

    __module__ = "builtins"  # where it comes from is not for the owner's traceback


def describe(error: BaseException, filename: str, *, while_serving: bool = False) -> Failure:
    """The failure in the owner's words. `while_serving`: raised by the app's start-up."""
    kind, reason = _kind_and_reason(error, filename, while_serving)
    return Failure(
        kind=kind,
        reason=_clean(reason)[:REASON_CHARACTERS],
        file=filename,
        line=_line(error, filename),
        traceback="" if kind == "no_app" else user_traceback(error, filename),
    )


def _kind_and_reason(error: BaseException, filename: str, while_serving: bool) -> tuple[str, str]:
    match error:
        case NoApplicationError():
            return "no_app", str(error)
        case LoadDeadlineError():
            return "deadline", "the code was still loading when its time was over"
        case MemoryError():
            return "memory", "the code ran out of memory while it started"
        case SystemExit() | KeyboardInterrupt():
            return "exited", f"the code ended the process itself ({_last_line(error)})"
        case SyntaxError() if error.filename == filename:
            return "syntax_error", f"{error.msg} (line {error.lineno})"
        case ImportError() if not while_serving:
            return "import_error", _import_reason(error)
    if while_serving:
        return "lifespan", f"the app's start-up failed: {_last_line(error)}"
    return "exception", _last_line(error)


def _import_reason(error: ImportError) -> str:
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return _last_line(error)
    return f"the module {error.name!r} is not installed. Installed are: {', '.join(_installed())}"


def _installed() -> list[str]:
    names = {str(found.metadata["Name"]) for found in metadata.distributions()}
    return sorted(names, key=str.lower)[:100]


def _last_line(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception_only(error)).strip().rpartition("\n")[2]
    except Exception:  # noqa: BLE001 - the text of the exception is user code too
        return type(error).__name__


def _line(error: BaseException, filename: str) -> int | None:
    """The line of the user's file that is nearest to the failure."""
    if isinstance(error, SyntaxError) and error.filename == filename:
        return error.lineno
    line = None
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == filename:
            line = step.tb_lineno
        step = step.tb_next
    return line


def user_traceback(error: BaseException, filename: str) -> str:
    """The traceback as the owner would see it at home: without the frames that called them."""
    try:
        told = traceback.TracebackException.from_exception(error)
        _strip(told, filename, seen=set())
        text = "".join(told.format())
    except Exception:  # noqa: BLE001 - formatting calls into the user's objects
        text = f"{type(error).__name__} (its text cannot be shown)"
    return _clean(text)[-TRACEBACK_CHARACTERS:]


def _strip(told: traceback.TracebackException, filename: str, seen: set[int]) -> None:
    if id(told) in seen:
        return
    seen.add(id(told))
    frames = list(told.stack)
    first = next((n for n, frame in enumerate(frames) if frame.filename == filename), None)
    kept = frames[first:] if first is not None else frames
    told.stack = traceback.StackSummary.from_list(
        [frame for frame in kept if not frame.filename.startswith(_OURS)]
    )
    for other in (told.__cause__, told.__context__, *(told.exceptions or ())):
        if other is not None:
            _strip(other, filename, seen)


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()

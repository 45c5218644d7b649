"""The app's OpenAPI document, made in a copy of its process: what goes wrong there hurts nobody."""

import asyncio
import binascii
import contextlib
import gc
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from .frames import Message

MAX_DOCUMENT = 512 * 1024
SECONDS = 5.0
_MEMORY = 64 * 1024 * 1024  # more than this the making of a document may not add
_NOTE_CHARACTERS = 300
_READ = 64 * 1024
_FOUND, _NONE = b"+", b"-"  # the first byte of what the copy says

Tell = Callable[[Message], None]


class Inquiry:
    """Asks the app when it is told to; `tell` takes the answer, one for each question."""

    def __init__(self, application: Any, tell: Tell, seconds: float = SECONDS) -> None:
        self._application = application
        self._tell = tell
        self._seconds = seconds
        self._pid = 0
        self._said = bytearray()

    def begin(self) -> None:
        """On the app's loop; only forks, and returns."""
        if self._pid:
            return
        try:
            reader = self._fork()
        except OSError as error:
            self._tell(_answer(_NONE + f"there was no way to ask the app: {error}".encode()))
        else:
            self._listen(reader)

    def _fork(self) -> int:
        """The end of the pipe that the copy writes to."""
        reader, writer = os.pipe()
        _flush()
        try:
            self._pid = os.fork()
            if self._pid == 0:
                _become_copy(self._application, writer, self._seconds)
        except OSError:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        return reader

    def _listen(self, reader: int) -> None:
        os.set_blocking(reader, False)
        self._said.clear()
        loop = asyncio.get_running_loop()
        late = f"app.openapi() did not return within {self._seconds:g} seconds"
        timer = loop.call_later(self._seconds, self._end, reader, _NONE + late.encode())
        loop.add_reader(reader, self._more, reader, timer)

    def _more(self, reader: int, timer: asyncio.TimerHandle) -> None:
        try:
            data = os.read(reader, _READ)
        except BlockingIOError:
            return
        self._said += data
        if not data or len(self._said) > MAX_DOCUMENT + 1:
            timer.cancel()
            self._end(reader, bytes(self._said))

    def _end(self, reader: int, said: bytes) -> None:
        asyncio.get_running_loop().remove_reader(reader)
        os.close(reader)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)
        self._pid = 0
        self._tell(_answer(said))


def _answer(said: bytes) -> Message:
    """Base64, since a document may hold anything and a frame has a size."""
    kind, rest = said[:1], said[1:]
    if kind == _FOUND and len(rest) <= MAX_DOCUMENT:
        return {"type": "document", "data": binascii.b2a_base64(rest, newline=False).decode()}
    if kind == _FOUND:
        note = _too_large()
    elif kind == _NONE:
        note = rest.decode("utf-8", "replace")[:_NOTE_CHARACTERS]
    else:
        note = "the process that made the document ended without a word"
    return {"type": "document", "data": "", "note": note}


def _too_large() -> str:
    return f"the document is larger than {MAX_DOCUMENT // 1024} KiB"


# --- in the copy


def _become_copy(application: Any, writer: int, seconds: float) -> NoReturn:
    """Never returns into the app."""
    try:
        _settle(seconds)
        said = describe(application)
        while said:
            said = said[os.write(writer, said) :]
        _flush()
    finally:
        os._exit(0)


def _flush() -> None:
    """What is buffered would be written twice, or never."""
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()


def _settle(seconds: float) -> None:
    gc.disable()  # a collection would copy all that both share
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        _at_most(resource.RLIMIT_AS, pages * resource.getpagesize() + _MEMORY)
    _at_most(resource.RLIMIT_CPU, int(sum(os.times()[:2]) + seconds) + 1)


def _at_most(which: int, wanted: int) -> None:
    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(which)
        if hard == resource.RLIM_INFINITY or wanted < hard:
            resource.setrlimit(which, (wanted, wanted))


def describe(application: Any) -> bytes:
    """What the copy says: a document, or why there is none. Calls into user code."""
    try:
        make = getattr(application, "openapi", None)
        if not callable(make):
            return _NONE + b"the app has no openapi()"
        if getattr(application, "openapi_url", "") is None:
            return _NONE + b"the app keeps its document to itself: its openapi_url is None"
        document = make()
        if not isinstance(document, dict):
            kind = type(document).__name__[:50]
            return _NONE + f"app.openapi() returned no JSON object but {kind}".encode()
        text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        data = text.encode("utf-8", "replace")
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is a reason
        return _NONE + _reason(error).encode("utf-8", "replace")
    return _FOUND + data if len(data) <= MAX_DOCUMENT else _NONE + _too_large().encode()


def _reason(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return f"app.openapi() used more than {_MEMORY // 1024 // 1024} MB of memory"
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - the text of an exception is user code too
        text = ""
    name = type(error).__name__
    return f"app.openapi() raised {name}: {text}" if text else f"app.openapi() raised {name}"

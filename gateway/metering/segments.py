"""Closed journal segments on the disk: find, lock, read, set aside, remove."""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from types import NoneType
from typing import Any

import structlog

from gateway.metering.journal import NEW_SUFFIX, SUFFIX

_log = structlog.get_logger(__name__)

ABANDONED_SECONDS = 60.0  # a writer needs microseconds between making and showing a segment
MAX_LINE_BYTES = 64 * 1024
MAX_BATCH_BYTES = 8 * 1024 * 1024
_MAX_TIME = 1e12  # what is beyond it, infinite or no number cannot be sent as JSON

_SHAPE: Mapping[str, tuple[type, ...]] = {
    "request_id": (str,),
    "at": (float, int),
    "api_id": (str,),
    "tenant_id": (str,),
    "caller_tenant_id": (str,),
    "key_id": (str,),
    "version": (int,),
    "method": (str,),
    "path": (str,),
    "status_code": (int,),
    "error_code": (str, NoneType),
    "response_time_us": (int,),
    "request_size_bytes": (int,),
    "response_size_bytes": (int,),
    "limits": (list,),
}
_LONG_SECONDS = 60.0  # that usage may lie on the disk without anybody being told
_PRICE = "price_nano_usd"  # only on what was paid for


def segments(folder: Path) -> list[Path]:
    """Every segment, oldest first; open ones among them."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def filled(folder: Path) -> Iterator[Path]:
    """Every segment that holds something, oldest first; open ones among them."""
    for path in segments(folder):
        try:
            if path.stat().st_size > 0:
                yield path
        except FileNotFoundError:
            continue  # drained in the meantime


def begun(path: Path) -> float:
    """Unix time as its name says; what a person put there is from before everything."""
    number = path.name.partition("-")[0]
    return int(number) / 1e9 if number.isdecimal() else 0.0


def waiting_words(folder: Path) -> str:
    """What to say when usage waits long to be stored; empty when it does not."""
    oldest = min((begun(path) for path in filled(folder)), default=None)
    seconds = 0.0 if oldest is None else time.time() - oldest
    if seconds < _LONG_SECONDS:
        return ""
    return f"usage of {seconds:.0f} s is not stored yet; does the worker run?"


def remove(path: Path) -> None:
    """All of it is stored."""
    path.unlink(missing_ok=True)


def remove_abandoned(folder: Path) -> None:
    """Remove what a writer made and never showed, because it died in between."""
    for path in folder.glob(f"*{NEW_SUFFIX}"):
        try:
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()
        except FileNotFoundError:
            continue  # shown or removed in the meantime


@contextmanager
def locked(path: Path) -> Iterator[BufferedReader | None]:
    """The segment for reading, or None when it is open, being drained, or gone."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield file if os.fstat(file.fileno()).st_nlink else None


def batches(file: BufferedReader, size: int) -> Iterator[list[bytes]]:
    """Whole lines, at most `size` and `MAX_BATCH_BYTES` at a time; a torn last line is dropped."""
    batch: list[bytes] = []
    room = MAX_BATCH_BYTES
    while line := file.readline(MAX_LINE_BYTES):
        if not line.endswith(b"\n") and not file.peek(1):
            _log.warning("torn_line_dropped", bytes=len(line), segment=str(file.name))
            break
        batch.append(line)
        room -= len(line)
        if len(batch) >= size or room <= 0:
            yield batch
            batch, room = [], MAX_BATCH_BYTES
    if batch:
        yield batch


def parse(line: bytes) -> dict[str, Any] | None:
    """The record on a line; None when it is not one."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or value.keys() - {_PRICE} != _SHAPE.keys():
        return None
    price = value.get(_PRICE, 0)
    if type(price) is not int or price < 0:
        return None
    if any(type(value[name]) not in types for name, types in _SHAPE.items()):
        return None
    if not abs(value["at"]) < _MAX_TIME or not all(map(_is_limit, value["limits"])):
        return None
    return value


def _is_limit(value: object) -> bool:
    """A subject and a window."""
    return isinstance(value, list) and list(map(type, value)) == [str, str]


def set_aside(path: Path, lines: list[bytes]) -> None:
    """Keep lines that cannot be stored where a person finds them: `bad/` beside the segment.

    They are on the disk when this returns, and there once, however often it is done.
    """
    _log.error("lines_kept_in_bad", lines=len(lines), segment=path.name)
    folder = path.parent / "bad"
    folder.mkdir(mode=0o700, exist_ok=True)
    fresh = folder / (path.stem + NEW_SUFFIX)
    with fresh.open("wb") as file:
        file.writelines(line if line.endswith(b"\n") else line + b"\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder / path.name)

"""Getting segments onto the disk, beside the loop: what a power failure may take."""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path

import structlog

_log = structlog.get_logger(__name__)


class Fsync(StrEnum):
    """When lines are forced onto the disk. Death of processes loses nothing with any of them."""

    OFF = "off"  # when the kernel likes to: up to 30 seconds of undrained calls
    INTERVAL = "interval"  # when a segment is closed: one and a half times JOURNAL_SECONDS
    ALWAYS = "always"  # before the answer's last byte, once for all calls that wait: nothing


class Syncer:
    """One thread, started with the first sync that does not wait.

    It works on copies of descriptors, so that the owner may let a segment go at any time; its
    lock is free when all copies are closed.
    """

    def __init__(self, folder: Path, sync: Callable[[int], None]) -> None:
        self._folder = folder
        self._sync = sync
        self._threads: ThreadPoolExecutor | None = None
        self._is_shown = False  # the segment's name is on the disk as well

    def new_segment(self) -> None:
        """The next sync is the first of a new file, whose folder counts too."""
        self._is_shown = False

    def here(self, segment: int) -> None:
        """Sync and wait; raises OSError."""
        self._work(segment, self._first())

    def in_thread(self, segment: int) -> Future[None]:
        """Sync beside the loop; the descriptor stays open until that is over."""
        return self._pool().submit(self._work, segment, self._first())

    def then_close(self, segment: int) -> None:
        """Sync beside everything, then close; a failure is logged."""
        self._pool().submit(self._last, segment, self._first())

    def wait(self) -> None:
        """Until everything that was begun is over."""
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None

    def _pool(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(1, thread_name_prefix="journal")
        return self._threads

    def _first(self) -> bool:
        is_first, self._is_shown = not self._is_shown, True
        return is_first

    def _work(self, segment: int, is_first: bool) -> None:
        self._sync(segment)
        if is_first:
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                self._sync(folder)
            finally:
                os.close(folder)

    def _work_and_close(self, copy: int, is_first: bool) -> None:
        try:
            self._work(copy, is_first)
        finally:
            os.close(copy)

    def _last(self, segment: int, is_first: bool) -> None:
        try:
            self._work_and_close(segment, is_first)
        except OSError as error:
            _log.error("journal_not_synced", error=str(error))

"""Starts one bubblewrap process, holds it until its limits are set, then lets it run."""

import asyncio
import contextlib
import json
import os
import resource
import signal
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sandbox.runtimes.base import RuntimeUnavailableError
from sandbox.runtimes.bubblewrap_args import Descriptors
from sandbox.runtimes.descriptors import memory_file, pipe

START_SECONDS = 10.0
STDERR_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Start:
    """All that is needed to start one."""

    program: str
    name: str  # shown in the process list
    options: Callable[[Descriptors], Sequence[str]]
    command: Sequence[str]
    seccomp: bytes | None
    limits: dict[str, int]  # of each process, by the names of `resource` without RLIMIT_
    enter_group: Callable[[int], None]
    finish: Callable[[int], Awaitable[None]]  # what is left to be done to the first process


class BubblewrapProcess:
    """A running bubblewrap and the first process of the pid namespace it made."""

    def __init__(self, popen: subprocess.Popen[bytes], child: int, stderr: int) -> None:
        self._popen = popen
        self._child: int | None = child
        self._stderr: int | None = stderr
        self._said = bytearray()
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._watch = os.pidfd_open(popen.pid)
        self._loop.add_reader(self._watch, self._on_end)
        self._loop.add_reader(stderr, self._on_stderr)

    @property
    def pid(self) -> int:
        """Of bubblewrap itself, outside the sandbox."""
        return self._popen.pid

    @property
    def said(self) -> str:
        """What bubblewrap, or a runner that could not start, wrote as its error."""
        return self._said.decode(errors="replace").strip()

    async def wait(self) -> None:
        """Until bubblewrap has ended, which it does when its child has."""
        await self._ended.wait()

    def kill(self) -> None:
        """Kill the namespace's first process; the kernel takes all others with it."""
        if self._child is not None:
            _kill(self._child)
        if not self._ended.is_set():
            self._popen.kill()

    def close(self) -> None:
        """Give back the descriptors, after it has ended."""
        self._close_stderr()
        if self._child is not None:
            os.close(self._child)
            self._child = None

    def _on_end(self) -> None:
        self._loop.remove_reader(self._watch)
        os.close(self._watch)
        self._popen.wait()
        self._ended.set()

    def _on_stderr(self) -> None:
        """Keep what hardly ever comes; who writes too much is cut off."""
        if self._stderr is None:
            return
        text = os.read(self._stderr, 4096)
        self._said += text
        if not text or len(self._said) > STDERR_BYTES:
            self._close_stderr()

    def _close_stderr(self) -> None:
        if self._stderr is not None:
            self._loop.remove_reader(self._stderr)
            os.close(self._stderr)
            self._stderr = None


async def start(how: Start) -> BubblewrapProcess:
    """Start it, set its limits, let it go; nothing is left behind when that fails.

    Must run in the event loop's own thread: bubblewrap dies with the thread that forked it.
    """
    with (
        pipe(child_reads=False) as info,
        pipe(child_reads=True) as block,
        pipe(child_reads=False) as error,
    ):
        popen = _spawn(how, Descriptors(info.theirs, block.theirs, None), error.theirs)
        for end in (info, block, error):
            end.hand_over()
        child: int | None = None
        try:
            pid = await _child_of(info.ours)
            child = os.pidfd_open(pid)
            how.enter_group(pid)
            await how.finish(pid)
            for name, value in how.limits.items():
                resource.prlimit(pid, getattr(resource, f"RLIMIT_{name}"), (value, value))
            os.write(block.ours, b"1")
        except BaseException as failure:
            # before the pipes close: what waits on `block` would run without its limits
            _abandon(popen, child)
            if isinstance(failure, (OSError, ValueError)):
                text = _what_it_said(error.ours) or str(failure)
                raise RuntimeUnavailableError(f"bubblewrap did not start: {text}") from failure
            raise
        return BubblewrapProcess(popen, child, error.take())


def _spawn(how: Start, descriptors: Descriptors, stderr: int) -> subprocess.Popen[bytes]:
    with contextlib.ExitStack() as stack:
        passed = [descriptors.info, descriptors.block]
        if how.seccomp is not None:
            filter_ = stack.enter_context(memory_file(how.seccomp))
            descriptors = Descriptors(descriptors.info, descriptors.block, filter_)
            passed.append(filter_)
        # options come through a descriptor, so that no host path shows in the process list
        words = b"".join(word.encode() + b"\0" for word in how.options(descriptors))
        options = stack.enter_context(memory_file(words))
        return subprocess.Popen(
            [how.name, "--args", str(options), "--", *how.command],
            executable=how.program,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            pass_fds=[*passed, options],
            env={},
            cwd="/",
        )


def _abandon(popen: subprocess.Popen[bytes], child: int | None) -> None:
    popen.kill()
    popen.wait()
    if child is not None:
        _kill(child)
        os.close(child)


def _kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, signal.SIGKILL)


async def _child_of(info: int) -> int:
    """Host pid of the namespace's first process, from what bubblewrap reports."""
    text = await asyncio.wait_for(_read_all(info), START_SECONDS)
    return int(json.loads(text)["child-pid"])


async def _read_all(descriptor: int) -> bytes:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    text = bytearray()

    def more() -> None:
        chunk = os.read(descriptor, 4096)
        text.extend(chunk)
        if not chunk and not done.done():
            done.set_result(None)

    loop.add_reader(descriptor, more)
    try:
        await done
    finally:
        loop.remove_reader(descriptor)
    return bytes(text)


def _what_it_said(descriptor: int) -> str:
    os.set_blocking(descriptor, False)
    with contextlib.suppress(BlockingIOError):
        return os.read(descriptor, 4096).decode(errors="replace").strip()
    return ""

"""The runner's parent process: one thread, one loop, between the manager and user code."""

import contextlib
import os
import select
import signal
import socket
import sys
import time
from typing import Any

from .child import Task
from .failures import Failure
from .frames import Message
from .link import Link, LinkLostError
from .logs import LineRate, Ring
from .process import Child, how_it_ended, reap

_DIAL_SECONDS = 30.0  # a blank that finds no manager is of no use
_REDIAL_EVERY = 0.25
_ORPHAN_SECONDS = 60.0
_STOP_SECONDS = 5.0
_LAST_WORDS_SECONDS = 1.0


class Supervisor:
    """Blank, then starting, then running, then gone; never back."""

    def __init__(self, control: str, orphan_seconds: float = _ORPHAN_SECONDS) -> None:
        self._control = control
        self._orphan_seconds = orphan_seconds
        self._link: Link | None = None
        self._child: Child | None = None
        self._state = "blank"
        self._identity: dict[str, str] = {}
        self._seconds = 0.0
        self._loaded = False
        self._failure: Failure | Message | None = None
        self._stopping = False
        self._asked_to_stop = False
        self._done = False
        self._timers: dict[str, float] = {}
        self._actions = {
            "start": self._start_deadline,
            "kill": self._kill_child,
            "redial": self._redial,
            "orphan": self._end,
        }
        self._rate = LineRate()
        self._ring = Ring()
        self._wake, self._wake_writer = socket.socketpair()

    def run(self) -> int:
        """Until the sandbox has done its work; the exit code."""
        self._listen_for_signals()
        if not self._dial_first():
            sys.stderr.write(f"no manager at {self._control}\n")
            return 1
        while not self._done:
            self._step()
        if self._child is not None:
            self._child.kill()
        self._last_words()
        return 0

    # --- signals

    def _listen_for_signals(self) -> None:
        for end in (self._wake, self._wake_writer):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wake_writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_sigterm)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _on_sigterm(self, *_: object) -> None:
        self._asked_to_stop = True  # acted on in the loop, which the wake-up socket turns

    # --- one turn of the loop

    def _step(self) -> None:
        readers: list[int] = [self._wake.fileno()]
        writers: list[int] = []
        if self._link is not None:
            readers.append(self._link.sock.fileno())
            writers += [self._link.sock.fileno()] if self._link.wants_write else []
        if self._child is not None:
            readers += self._child.descriptors
        readable, writable, _ = select.select(readers, writers, [], self._time_left())
        if self._asked_to_stop:
            self._asked_to_stop = False
            self._stop(_STOP_SECONDS)
        self._fire_timers()
        self._read_child(set(readable))
        self._use_link(set(readable), set(writable))
        if self._wake.fileno() in readable:
            self._collect_dead()

    def _time_left(self) -> float | None:
        if not self._timers:
            return None
        return max(0.0, min(self._timers.values()) - time.monotonic())

    def _fire_timers(self) -> None:
        now = time.monotonic()
        for name in [name for name, at in self._timers.items() if at <= now]:
            del self._timers[name]
            self._actions[name]()

    def _set_timer(self, name: str, seconds: float) -> None:
        self._timers[name] = time.monotonic() + seconds

    # --- the manager

    def _dial_first(self) -> bool:
        until = time.monotonic() + _DIAL_SECONDS
        while self._link is None and time.monotonic() < until:
            try:
                self._connect()
            except LinkLostError:
                time.sleep(0.05)
        return self._link is not None

    def _connect(self) -> None:
        link = Link(self._control)
        link.send(
            {
                "type": "hello",
                "pid": os.getpid(),
                "python": sys.version.split()[0],
                "state": "blank" if self._state == "blank" else "running",
                **self._identity,
            }
        )
        for at, stream, text in self._ring:
            link.send({"type": "log", "stream": stream, "text": text, "at": at})
        link.flush()
        self._link = link

    def _redial(self) -> None:
        try:
            self._connect()
        except LinkLostError:
            self._set_timer("redial", _REDIAL_EVERY)
        else:
            self._timers.pop("orphan", None)

    def _link_lost(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
        if self._state != "running":
            self._end()  # nobody waits for a sandbox that was not in service yet
            return
        self._set_timer("redial", _REDIAL_EVERY)
        self._set_timer("orphan", self._orphan_seconds)

    def _use_link(self, readable: set[int], writable: set[int]) -> None:
        if self._link is None:
            return
        number = self._link.sock.fileno()
        try:
            if number in readable:
                for message in self._link.receive():
                    self._obey(message)
            if number in writable or self._link.wants_write:
                self._link.flush()
        except LinkLostError:
            self._link_lost()

    def _obey(self, message: Message) -> None:
        if message.get("type") == "specialise" and self._state == "blank":
            self._specialise(message)
        elif message.get("type") == "stop":
            self._stop(float(message.get("seconds", _STOP_SECONDS)))

    def _tell(self, message: Message) -> None:
        if self._link is not None:
            self._link.send(message)

    # --- user code

    def _specialise(self, message: Message) -> None:
        listener = self._link.take_descriptor() if self._link else None
        if listener is None:
            raise LinkLostError("specialise came without a listener")
        self._seconds = float(message["seconds"])
        self._identity = {key: str(message[key]) for key in ("api_id", "version_id")}
        task = Task(str(message["code"]), str(message["filename"]), self._seconds)
        self._tell({"type": "specialising"})
        self._state = "starting"
        self._set_timer("start", self._seconds)
        self._child = Child(task, listener, before=self._let_go)

    def _let_go(self) -> None:
        """In the child: objects must not close descriptor numbers that get a new meaning."""
        for held in (self._wake, self._wake_writer, self._link.sock if self._link else None):
            if held is not None:
                held.detach()

    def _read_child(self, readable: set[int]) -> None:
        if self._child is None:
            return
        for number in readable & self._child.descriptors:
            lines, messages = self._child.read(number)
            self._take_lines(lines)
            for message in messages:
                self._hear(message)

    def _hear(self, message: dict[str, Any]) -> None:
        """A message of the child; user code could have written it, so it only moves forward."""
        if self._state != "starting":
            return
        match message.get("type"):
            case "loaded":
                self._loaded = True
            case "ready":
                self._state = "running"
                self._timers.pop("start", None)
                self._tell({"type": "ready"})
            case "failed" if self._failure is None:
                self._failure = message
                self._timers.pop("start", None)
                self._set_timer("kill", _LAST_WORDS_SECONDS)

    def _take_lines(self, lines: list[tuple[str, str]]) -> None:
        for stream, text in lines:
            if self._rate.admit(time.monotonic()):
                marker = self._rate.take_marker()
                if marker:
                    self._log(stream, marker)
                self._log(stream, text)

    def _log(self, stream: str, text: str) -> None:
        at = time.time()
        self._ring.add(at, stream, text)
        line = {"type": "log", "stream": stream, "text": text, "at": at}
        if self._link is not None and not self._link.send_if_room(line):
            self._rate.drop()

    # --- the end

    def _start_deadline(self) -> None:
        where = "start-up of the app did not finish" if self._loaded else "code was still loading"
        self._failure = Failure("deadline", f"the {where} after {self._seconds:g} seconds")
        self._kill_child()

    def _stop(self, seconds: float) -> None:
        if self._child is None:
            self._end()
            return
        self._stopping = True
        self._child.terminate()
        self._set_timer("kill", seconds)

    def _kill_child(self) -> None:
        if self._child is not None:
            self._child.kill()

    def _end(self) -> None:
        self._done = True

    def _collect_dead(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake.recv(1024):
                pass
        ended = reap()
        if self._child is not None and self._child.pid in ended:
            self._child_ended(self._child, ended[self._child.pid])

    def _child_ended(self, child: Child, status: int) -> None:
        child.kill_group()
        self._child = None
        lines, messages = child.drain()
        for message in messages:
            self._hear(message)
        self._take_lines(lines)
        marker = self._rate.take_marker()
        if marker:
            self._log("stderr", marker)
        self._tell(self._verdict(how_it_ended(status)))
        self._end()

    def _verdict(self, how: str) -> Message:
        if isinstance(self._failure, Failure):
            return self._failure.to_message()
        if self._failure is not None:
            return self._failure
        if self._state == "starting" and not self._stopping:
            return Failure("exited", f"the process {how} while it started").to_message()
        return {"type": "exited", "reason": "stopped" if self._stopping else how}

    def _last_words(self) -> None:
        """Give the manager a moment to take what is still to be said."""
        until = time.monotonic() + _LAST_WORDS_SECONDS
        with contextlib.suppress(LinkLostError):
            while self._link is not None and self._link.wants_write:
                left = until - time.monotonic()
                if left <= 0:
                    return
                select.select([], [self._link.sock], [], left)
                self._link.flush()

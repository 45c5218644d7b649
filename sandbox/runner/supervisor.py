"""The runner's first process: one thread, one loop, between the manager and user code."""

import contextlib
import os
import select
import signal
import socket
import sys
from functools import partial
from typing import NoReturn

from .budget import Budget, Ending
from .endings import STOPPED, Failure, ended, exited, how_it_ended
from .forwarder import REMAKE_SECONDS, Forwarder
from .frames import Message
from .journal import Journal
from .manager import ORPHAN_SECONDS, Manager
from .page import new_page
from .places import Places
from .process import Child, Pipes, reap
from .task import Task, TaskError
from .timers import Timers
from .watch import Watch, cpu_of

_WARM_SECONDS = 120.0
_STOP_SECONDS = 5.0
_LAST_WORDS_SECONDS = 1.0
_IGNORED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
    signal.SIGVTALRM,
    signal.SIGPROF,
    signal.SIGIO,
    signal.SIGTSTP,
    signal.SIGTTIN,
    signal.SIGTTOU,
)


class Supervisor:
    """Warming, then blank, then starting, then running, then gone; never back."""

    def __init__(self, places: Places, orphan_seconds: float = ORPHAN_SECONDS) -> None:
        self._places = places
        self._timers = Timers()
        self._manager = Manager(
            places.control, self._timers, self._greeting, self._end, orphan_seconds
        )
        self._journal = Journal(self._manager.mention)
        self._page = new_page()
        self._state = "warming"
        self._identity: dict[str, str] = {}
        self._seconds = 0.0
        self._loaded = False
        self._asked = False
        self._failure: Failure | Message | None = None
        self._ending: Message | None = None
        self._asked_to_stop = False
        self._done = False
        self._code = 0

    def run(self) -> int:
        """Until the sandbox has done its work; the exit code."""
        # before anything is open that user code's process would have to close
        self._child: Child | None = Child(partial(_become_child, self._places, self._page))
        self._pid = self._child.pid
        self._forwarder = Forwarder(self._places.proxy_port, self._places.door)
        self._listen_for_signals()
        self._timers.set("warm", _WARM_SECONDS, self._kill_child)
        while not self._done:
            self._step()
        if self._child is not None:
            self._child.kill()
        self._manager.last_words(lambda number, left: _wait([], number, left))
        return self._code

    # --- signals

    def _listen_for_signals(self) -> None:
        self._wake, self._wake_writer = socket.socketpair()
        for end in (self._wake, self._wake_writer):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wake_writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_sigterm)
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)

    def _on_sigterm(self, *_: object) -> None:
        self._asked_to_stop = True  # acted on in the loop, which the wake-up socket turns

    # --- one turn of the loop

    def _step(self) -> None:
        wake = self._wake.fileno()
        readers = [wake, self._manager.reader, self._forwarder.reader]
        if self._child is not None:
            readers += self._child.descriptors
        readable = _wait(readers, self._manager.writer, self._timers.left())
        if self._asked_to_stop:
            self._asked_to_stop = False
            # not by the manager, so it may have been user code
            self._stop(_STOP_SECONDS, ended("crash", "stopped by SIGTERM"))
        self._timers.fire()
        self._read_child(readable)
        if self._forwarder.reader in readable:
            self._forwarder.turn()
        if self._manager.reader in readable:
            for message in self._manager.receive():
                self._obey(message)
        if self._manager.writer is not None:
            self._manager.flush()
        if wake in readable:
            self._collect_dead()

    # --- the manager

    def _greeting(self) -> list[Message]:
        hello = {
            "type": "hello",
            "pid": os.getpid(),
            "python": sys.version.split()[0],
            "state": "running" if self._manager.keeps else "blank",
            **self._identity,
        }
        return [hello, *self._journal.kept()]

    def _obey(self, message: Message) -> None:
        if message.get("type") == "specialise" and self._state == "blank":
            self._specialise(message)
        elif message.get("type") == "stop":
            self._stop(float(message.get("seconds", _STOP_SECONDS)), ended(STOPPED, "stopped"))
        elif message.get("type") == "egress" and message.get("egress") is True:
            self._forwarder.allow()
        elif message.get("type") == "describe" and self._state == "running":
            self._ask()

    def _ask(self) -> None:
        """One question at a time; the app's process answers within a few seconds."""
        if self._asked or self._child is None:
            return
        self._asked = self._child.ask()
        if not self._asked:
            note = "the app's process does not listen"
            self._manager.tell({"type": "document", "data": "", "note": note})

    # --- user code

    def _specialise(self, message: Message) -> None:
        listener = self._manager.take_descriptor()
        self._state = "starting"
        try:
            task = Task.from_message(message)
            self._start(task, message, listener)
        except TaskError as error:
            self._failure = Failure("exception", str(error))
            self._kill_child()
        except OSError:  # it died while nobody looked: no code got there, another blank may take it
            self._state = "blank"
            self._kill_child()
        finally:
            if listener is not None:
                os.close(listener)

    def _start(self, task: Task, message: Message, listener: int | None) -> None:
        if self._child is None:
            return
        if (listener is None) != (task.listener == "dial"):
            raise TaskError("the listener did not come as it was announced")
        order = {**message, "redact": [], "proxy_port": self._forwarder.port}
        self._child.hand_over(order, listener)
        self._manager.tell({"type": "specialising"})
        self._seconds = task.seconds
        self._identity = {"api_id": task.api_id, "version_id": task.version_id}
        self._journal.redact(task.redact)
        if task.egress:
            self._forwarder.allow()
        budget = Budget(task.call_cpu_seconds)
        self._watch = Watch(self._page, budget, partial(cpu_of, self._pid), self._child.ring)
        self._timers.set("start", task.seconds, self._start_deadline)

    def _read_child(self, readable: set[int]) -> None:
        if self._child is None:
            return
        for number in readable & self._child.descriptors:
            lines, messages = self._child.read(number)
            self._journal.take(lines)
            for message in messages:
                self._hear(message)

    def _hear(self, message: Message) -> None:
        """A message of the child; user code could have written it, so it only moves forward."""
        match message.get("type"), self._state:
            case "warm", "warming":
                self._become_blank()
            case "loaded", "starting":
                self._loaded = True
            case "ready", "starting":
                self._state = "running"
                self._manager.keeps = True
                self._timers.cancel("start")
                self._manager.tell({"type": "ready"})
            case "failed", "starting" if self._failure is None:
                self._failure = self._journal.clean(Failure.from_message(message).to_message())
                self._timers.cancel("start")
                self._timers.set("kill", _LAST_WORDS_SECONDS, self._kill_child)
            case "document", "running" if self._asked:
                self._asked = False
                self._manager.tell(self._journal.clean_document(message))
            case "busy", "running":
                self._begin_to_look()

    def _become_blank(self) -> None:
        self._timers.cancel("warm")
        self._state = "blank"
        if not self._manager.dial_first():
            sys.stderr.write(f"no manager at {self._places.control}\n")
            self._code = 1
            self._end()

    # --- calls that run too long

    def _begin_to_look(self) -> None:
        if "look" not in self._timers:
            self._after_look(*self._watch.begin())

    def _look(self) -> None:
        self._after_look(*self._watch.look())

    def _after_look(self, ending: Ending | None, seconds: float | None) -> None:
        if ending is not None:
            self._ending = self._ending or ended(ending.end, ending.reason)
            self._kill_child()
        elif seconds is not None:
            self._timers.set("look", seconds, self._look)

    # --- the end

    def _start_deadline(self) -> None:
        where = "start-up of the app did not finish" if self._loaded else "code was still loading"
        self._failure = Failure("deadline", f"the {where} after {self._seconds:g} seconds")
        self._kill_child()

    def _stop(self, seconds: float, report: Message) -> None:
        if self._child is None or self._state in ("warming", "blank"):
            self._end()
            return
        self._ending = self._ending or report
        self._child.terminate()
        self._timers.set("kill", seconds, self._kill_child)

    def _kill_child(self) -> None:
        if self._child is not None:
            self._child.kill()

    def _end(self) -> None:
        self._done = True

    def _collect_dead(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake.recv(1024):
                pass
        for pid, status in reap().items():
            if self._forwarder.ended(pid):
                self._timers.set("forwarder", REMAKE_SECONDS, self._forwarder.resume)
            elif self._child is not None and pid == self._child.pid:
                self._child_ended(self._child, status)

    def _child_ended(self, child: Child, status: int) -> None:
        child.kill_group()
        self._child = None
        lines, messages = child.drain()
        for message in messages:
            self._hear(message)
        self._journal.take(lines)
        self._journal.mark_dropped("stderr")
        self._manager.tell(self._verdict(status))
        if self._state == "warming":
            self._code = 1
            sys.stderr.writelines(f"{line['text']}\n" for line in self._journal.kept())
        self._end()

    def _verdict(self, status: int) -> Message:
        if isinstance(self._failure, Failure):
            return self._failure.to_message()
        if self._failure is not None:
            return self._failure
        if self._ending is not None:
            return self._ending
        if self._state == "starting":
            reason = f"the process {how_it_ended(status)} while it started"
            return Failure("exited", reason).to_message()
        return exited(status)


def _become_child(places: Places, page: "memoryview[int]", pipes: Pipes) -> NoReturn:
    # only here: the supervisor stays small
    from .haste import import_fastapi, uncollected

    with uncollected():
        if not places.practises:
            import_fastapi()
        from .child import run_child

    run_child(pipes, places, page)


def _wait(readers: list[int | None], writer: int | None, seconds: float | None) -> set[int]:
    """Those that are readable, as soon as there is anything to do; None is one not there."""
    readable, _, _ = select.select(
        [number for number in readers if number is not None],
        [] if writer is None else [writer],
        [],
        seconds,
    )
    return set(readable)

"""One thread that follows the engine's events and tells the event loop of sandboxes that end."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import docker
import docker.errors
import requests.exceptions
from docker.constants import DEFAULT_UNIX_SOCKET
from docker.utils import kwargs_from_env

from sandbox.runtimes.docker_spec import LABEL_INSTALLATION, LABEL_SANDBOX

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
LOST = (docker.errors.DockerException, requests.exceptions.RequestException, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a sandbox: `die`, `oom` or `destroy`."""

    kind: str
    sandbox_id: str
    exit_code: int | None = None


def parse_event(raw: dict[str, Any]) -> Event | None:
    """An event of a sandbox; None for anything else."""
    attributes = raw.get("Actor", {}).get("Attributes", {})
    kind, sandbox_id = raw.get("Action"), attributes.get(LABEL_SANDBOX)
    if kind not in ("die", "oom", "destroy") or not sandbox_id:
        return None
    code = str(attributes.get("exitCode", ""))
    return Event(kind, sandbox_id, int(code) if code.isdecimal() else None)


class EventWatch:
    """Follows events until closed, through any number of engine restarts.

    `connected` is called in the loop after every new connection: what happened while
    there was none has to be asked for then.
    """

    def __init__(
        self,
        base_url: str | None,
        installation: str,
        happened: Callable[[Event], None],
        connected: Callable[[], None],
    ) -> None:
        self._base_url = base_url
        self._filters = {
            "type": "container",
            "label": f"{LABEL_INSTALLATION}={installation}",
            "event": ["die", "oom", "destroy"],
        }
        self._happened = happened
        self._connected = connected
        self._loop = asyncio.get_running_loop()
        self._closed = threading.Event()
        self._stream: Any = None  # the client's stream type is not public
        self._thread = threading.Thread(target=self._run, name="docker-events", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Stop following; returns when the thread has ended."""
        self._closed.set()
        stream = self._stream
        if stream is not None:
            with contextlib.suppress(*LOST):
                stream.close()
        await asyncio.to_thread(self._thread.join, LONGEST_PAUSE * 2)

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._closed.is_set():
            try:
                self._follow()
                pause = FIRST_PAUSE
            except LOST:  # the engine is away; `check` says so to who asks
                pause = min(pause * 2, LONGEST_PAUSE)
            self._closed.wait(pause)

    def _follow(self) -> None:
        with contextlib.closing(make_client(self._base_url)) as client:
            self._stream = client.api.events(filters=self._filters, decode=True)
            try:
                if not self._closed.is_set():
                    self._tell(self._connected)
                    self._read()
            finally:
                self._stream.close()
                self._stream = None

    def _read(self) -> None:
        for raw in self._stream:
            event = parse_event(raw)
            if event is not None:
                self._tell(self._happened, event)

    def _tell(self, callback: Callable[..., None], *arguments: Event) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed before us
            self._loop.call_soon_threadsafe(callback, *arguments)


def make_client(base_url: str | None, seconds: float = 30) -> docker.DockerClient:
    """A client of the engine at `base_url`, or of the one the environment names."""
    address = base_url or kwargs_from_env().get("base_url", DEFAULT_UNIX_SOCKET)
    scheme, _, path = address.partition("://")
    if scheme in ("unix", "http+unix"):
        _require_listener(path, seconds)
    if base_url is not None:
        return docker.DockerClient(base_url=base_url, timeout=int(seconds))
    return docker.from_env(timeout=int(seconds))


def _require_listener(path: str, seconds: float) -> None:
    """OSError when nobody listens: the client would raise too, and leave its socket open."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(seconds)
        try:
            probe.connect(path)
        except OSError as error:
            raise OSError(f"{path}: {error.strerror or error}") from error

"""The ways out of sandboxes: their listeners, who serves them, and the policies in force.

A sandbox dials `/ctl/door.sock` for the network and `/ctl/data.sock` for its data. We listen
from before it is launched until it is gone and hand the listeners to the door and the worker:
who connects earlier, or while they are away, waits in the backlog.
"""

import asyncio
import contextlib
import os
import stat
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from socket import socket

from sandbox.channel import bind
from sandbox.outlet import Outlet
from sandbox.paths import RunPaths
from sandbox.types import EgressPolicy

_BACKLOG = 128
_APIS = 1000
# a bundle read before an explicit change may arrive after it; older changes it knows
_EXPLICIT_SECONDS = 30.0
_CERTIFICATE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Ways:
    """The two listeners of one sandbox, until they are handed over."""

    door: socket
    data: socket

    def close(self) -> None:
        """Our copies; harmless when called again."""
        self.door.close()
        self.data.close()


def bind_ways(folder: Path) -> Ways:
    """Listen in a sandbox's control directory; what an earlier manager left there goes."""
    door = _listen(folder / "door.sock")
    try:
        return Ways(door, _listen(folder / "data.sock"))
    except BaseException:
        door.close()
        raise


def _listen(path: Path) -> socket:
    path.unlink(missing_ok=True)
    sock = bind(path, backlog=_BACKLOG)
    # the sandbox is another user; only the private parent of the folder keeps others out
    path.chmod(0o666)
    return sock


class Outlets:
    """All sandboxes with code. Nothing here waits, whatever door and worker do."""

    def __init__(
        self,
        paths: RunPaths,
        clock: Callable[[], float],
        on_said: Callable[[str, str], None],
    ) -> None:
        self._paths = paths
        self._clock = clock
        self._door = Outlet(paths.door_socket, on_said)
        self._data = Outlet(paths.data_socket, on_said)
        self._explicit: OrderedDict[str, tuple[float, tuple[str, ...]]] = OrderedDict()

    async def run(self) -> None:
        """Talk to door and worker until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._door.run())
            group.create_task(self._data.run())

    def open(self, sandbox_id: str, api_id: str, ways: Ways, policy: EgressPolicy) -> None:
        """It has this API's code from now on; our copies of the listeners are closed."""
        self._door.open(sandbox_id, api_id, ways.door, policy.to_json())
        self._data.open(sandbox_id, api_id, ways.data, {})
        ways.close()

    def open_builder(
        self, sandbox_id: str, ways: Ways, policy: EgressPolicy, trusted: tuple[str, ...]
    ) -> None:
        """One of our own builders: no data, and what the operator named may be private."""
        detail = {**policy.to_json(), "trusted": list(trusted)}
        self._door.open(sandbox_id, f"builder-{sandbox_id}", ways.door, detail)
        ways.close()

    def close(self, sandbox_id: str) -> None:
        """It is gone, or cannot say anything of use any more."""
        self._door.close(sandbox_id)
        self._data.close(sandbox_id)

    def update(self, api_id: str, policy: EgressPolicy) -> None:
        """What was not known of an adopted API's policy is known now."""
        self._door.update(api_id, policy.to_json())

    def set(self, api_id: str, policy: EgressPolicy) -> None:
        """The owner has changed it: for the living at once, and for those starting now."""
        self._explicit[api_id] = (self._clock(), policy.hosts)
        self._explicit.move_to_end(api_id)
        while len(self._explicit) > _APIS:
            self._explicit.popitem(last=False)
        self.update(api_id, policy)

    def in_force(self, api_id: str, offered: EgressPolicy) -> EgressPolicy:
        """The policy for a sandbox that starts now; `offered` was read by its caller before."""
        at, hosts = self._explicit.get(api_id, (float("-inf"), ()))
        if self._clock() - at >= _EXPLICIT_SECONDS:
            return offered
        return replace(offered, hosts=hosts)

    def certificate(self, policy: EgressPolicy) -> str:
        """What a sandbox must trust when the door puts secrets in for it; else nothing."""
        return read_certificate(self._paths.door_ca) if policy.placeholders else ""


def read_certificate(path: Path) -> str:
    """The door's certificate; empty when it is not there or is something else.

    The folder is the door's own, so this opens no link and believes nothing it reads.
    """
    with contextlib.suppress(OSError, UnicodeDecodeError):
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(number, "rb") as file:
            if stat.S_ISREG(os.fstat(number).st_mode):
                text = file.read(_CERTIFICATE_BYTES).decode("ascii")
                if text.startswith("-----BEGIN CERTIFICATE-----"):
                    return text
    return ""

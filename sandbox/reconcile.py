"""After a restart: compare what the engine says with what was written down, decide, tidy up."""

import contextlib
import json
import os
import shutil
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sandbox.paths import RunPaths
from sandbox.runtimes.base import Found
from sandbox.types import EgressPolicy, SandboxSpec, Tier

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Names this boot of the machine; process numbers and sockets mean nothing after it."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return "unknown"


@dataclass(frozen=True, slots=True)
class State:
    """What a manager must know to take over a sandbox in service. It holds no secret.

    `runner_pid` is checked when it dials again: user code can reach the control socket too.
    Of the egress policy it knows the hosts only: when there are secrets behind placeholders
    (`lacks_secrets`), the next `acquire` brings them.
    """

    sandbox_id: str
    spec: SandboxSpec
    runner_pid: int
    boot: str
    began: float = 0.0  # Unix time at which it became ready
    tier: Tier = Tier.NONE
    hosts: tuple[str, ...] = ()
    lacks_secrets: bool = False

    @property
    def policy(self) -> EgressPolicy:
        """As much of it as was written down."""
        return EgressPolicy(self.hosts)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with what was found."""

    adopt: tuple[tuple[Found, State], ...]
    remove: tuple[Found, ...]


def plan(found: Iterable[Found], states: Iterable[State], boot: str) -> Plan:
    """Adopt what lives and is known by a state file of this boot; everything else goes."""
    known = {state.sandbox_id: state for state in states if state.boot == boot}
    adopt, remove = [], []
    for one in found:
        state = known.get(one.sandbox_id)
        if one.alive and state is not None:
            adopt.append((one, state))
        else:
            remove.append(one)
    return Plan(tuple(adopt), tuple(remove))


def write_state(paths: RunPaths, state: State) -> None:
    """In one piece or not at all."""
    path = paths.state(state.sandbox_id)
    value = asdict(state)
    del value["sandbox_id"]
    text = json.dumps(value)
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def read_states(paths: RunPaths) -> list[State]:
    """Every state file that makes sense; what does not is removed by `sweep`."""
    states = []
    for path in paths.states.glob("*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            states.append(_state_from(path.stem, json.loads(path.read_text())))
    return states


def _state_from(sandbox_id: str, value: dict[str, Any]) -> State:
    return State(
        sandbox_id=sandbox_id,
        spec=SandboxSpec.from_json(value["spec"]),
        runner_pid=int(value["runner_pid"]),
        boot=str(value["boot"]),
        began=float(value["began"]),
        tier=Tier(value["tier"]),
        hosts=tuple(str(host) for host in value["hosts"]),
        lacks_secrets=bool(value["lacks_secrets"]),
    )


def forget(paths: RunPaths, sandbox_id: str) -> None:
    """Remove every file of one sandbox."""
    paths.state(sandbox_id).unlink(missing_ok=True)
    paths.listener(sandbox_id).unlink(missing_ok=True)
    shutil.rmtree(paths.control_dir(sandbox_id), ignore_errors=True)


def sweep(paths: RunPaths, living: Collection[str]) -> int:
    """Remove files of sandboxes that do not live; how many there were."""
    stale = [
        path
        for folder in (paths.controls, paths.listeners, paths.states)
        for path in folder.iterdir()
        if path.name.partition(".")[0] not in living or path.suffix == ".new"
    ]
    for path in stale:
        _remove(path)
    return len(stale)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

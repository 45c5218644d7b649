"""The runtimes an engine may have, and what an installed one can do. Pure."""

import json
from dataclasses import dataclass
from typing import Any

from sandbox.runtimes.base import RuntimeUnavailableError
from sandbox.types import Tier

DAEMON_FILE = "/etc/docker/daemon.json"
PROGRAM = "/usr/bin/runsc"
DIALS = ("open", "all")


@dataclass(frozen=True, slots=True)
class Flavour:
    """One way an engine starts containers. `engine_name` is what the engine calls it."""

    name: str
    tier: Tier
    engine_name: str
    takes_descriptors: bool


RUNC = Flavour("docker", Tier.RUNC, "runc", takes_descriptors=True)
# its own kernel has no place for a descriptor of the host: the runner dials out instead
GVISOR = Flavour("gvisor", Tier.GVISOR, "runsc", takes_descriptors=False)


def arguments_of(info: dict[str, Any], engine_name: str) -> tuple[str, ...] | None:
    """What the engine starts a runtime with; None when it has no such runtime."""
    runtime = (info.get("Runtimes") or {}).get(engine_name)
    if runtime is None:
        return None
    return tuple(str(one) for one in runtime.get("runtimeArgs") or ())


def require_usable(flavour: Flavour, info: dict[str, Any]) -> None:
    """Raise RuntimeUnavailableError, with what to write where, unless it can be used."""
    arguments = arguments_of(info, flavour.engine_name)
    if flavour is not GVISOR:
        return
    if arguments is None:
        what = f"the engine has no runtime {flavour.engine_name}: apt-get install runsc"
        raise RuntimeUnavailableError(f"gvisor: {what}, {_remedy(info, ())}")
    if not can_dial(arguments):
        what = "its runner could not dial the manager"
        raise RuntimeUnavailableError(f"gvisor: {what}: {_remedy(info, arguments)}")


def can_dial(arguments: tuple[str, ...]) -> bool:
    """Whether what runs under it may connect to Unix sockets of the host."""
    if "--fsgofer-host-uds" in arguments or "-fsgofer-host-uds" in arguments:
        return True  # the name in versions before 2022-11
    return _value(arguments, "host-uds") in DIALS


def ignores_groups(arguments: tuple[str, ...]) -> bool:
    """Whether it leaves control groups alone, and with them every limit asked of the engine."""
    return _value(arguments, "ignore-cgroups") in ("", "true")


def _value(arguments: tuple[str, ...], flag: str) -> str | None:
    """Value of a flag, empty for a bare one, None when it is absent."""
    for argument in arguments:
        name, _, value = argument.lstrip("-").partition("=")
        if name == flag:
            return value
    return None


def _remedy(info: dict[str, Any], arguments: tuple[str, ...]) -> str:
    """The lines of the engine's file, complete enough to copy."""
    given = [one for one in arguments if not one.lstrip("-").startswith("host-uds")]
    if not arguments:
        given = ["--network=none"]
        if str(info.get("CgroupVersion")) == "1":
            given.append("--ignore-cgroups")
    runtime = (info.get("Runtimes") or {}).get(GVISOR.engine_name) or {}
    entry = {"path": runtime.get("path") or PROGRAM, "runtimeArgs": [*given, "--host-uds=open"]}
    text = json.dumps({"runtimes": {GVISOR.engine_name: entry}})
    return f"put {text} in {DAEMON_FILE} and run: kill -HUP $(pidof dockerd)"

"""What an engine's own description says about the walls and limits it can give. Pure."""

from typing import Any

from sandbox.runtimes.docker_flavours import RUNC, Flavour, arguments_of, ignores_groups
from sandbox.runtimes.docker_spec import EngineFacts

# fields of `docker info` that are true when the limit works
LIMITS = {
    "MemoryLimit": "memory limit",
    "SwapLimit": "swap limit",
    "PidsLimit": "process limit",
    "CpuCfsQuota": "cpu limit",
}


def facts_of(info: dict[str, Any], flavour: Flavour = RUNC) -> EngineFacts:
    """What of the engine changes how a container is asked for."""
    options = _options(info)
    is_usual = flavour is RUNC and info.get("DefaultRuntime", RUNC.engine_name) != "runsc"
    return EngineFacts(
        cgroup_version=1 if info.get("CgroupVersion") == "1" else 2,
        remaps_users="userns" in options or "rootless" in options,
        runtime="" if is_usual else flavour.engine_name,
        ignores_groups=ignores_groups(arguments_of(info, flavour.engine_name) or ()),
        filters_calls=flavour is RUNC,
        name=flavour.name,
    )


def missing_of(info: dict[str, Any]) -> tuple[str, ...]:
    """Names of what this engine cannot give."""
    missing = [name for field, name in LIMITS.items() if not info.get(field)]
    if "seccomp" not in _options(info):
        missing.append("system call filter")
    if facts_of(info).remaps_users:
        missing.append("own user for each sandbox")
    return tuple(missing)


def _options(info: dict[str, Any]) -> set[str]:
    """Names out of entries like `name=seccomp,profile=default`."""
    entries = info.get("SecurityOptions") or ()
    return {
        part.removeprefix("name=")
        for entry in entries
        for part in entry.split(",")
        if part.startswith("name=")
    }

"""The system calls a sandbox may make: one profile, as text for engines and as BPF for bubblewrap.

`seccomp.json` is in the engines' format. It lists what Python and its servers need;
everything else is refused.
"""

import json
import os
import platform
from pathlib import Path
from typing import Any

PROFILE = Path(__file__).with_name("seccomp.json")
ACTIONS = ("SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO")
MACHINES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
EPERM = 1


class SeccompMissingError(Exception):
    """This host cannot make a filter: libseccomp is missing or the machine is unknown."""


def load_profile() -> dict[str, Any]:
    """The profile as plain JSON."""
    profile: dict[str, Any] = json.loads(PROFILE.read_text("utf-8"))
    return profile


def compile_filter(profile: dict[str, Any], machine: str = platform.machine()) -> bytes:
    """The profile as a BPF program for this machine; raises SeccompMissingError."""
    architectures = {entry["architecture"] for entry in profile["archMap"]}
    if MACHINES.get(machine) not in architectures:
        raise SeccompMissingError(f"no system call profile for {machine}")
    try:
        import pyseccomp  # looks for libseccomp while it is imported
    except (ImportError, RuntimeError, OSError) as error:
        raise SeccompMissingError(f"libseccomp is missing: {error}") from error
    default = pyseccomp.ERRNO(profile["defaultErrnoRet"])
    filter_ = pyseccomp.SyscallFilter(default)
    # the 32-bit and the x32 way into the kernel: whoever takes one wants past this list
    filter_.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.KILL_PROCESS)
    for rule in profile["syscalls"]:
        action = _action(pyseccomp, rule)
        if action != default:
            _add(pyseccomp, filter_, action, rule)
    return _exported(filter_)


def _action(library: Any, rule: dict[str, Any]) -> int:
    if rule["action"] not in ACTIONS:
        raise ValueError(f"unknown action {rule['action']}")
    if rule["action"] == "SCMP_ACT_ALLOW":
        return int(library.ALLOW)
    return int(library.ERRNO(rule.get("errnoRet", EPERM)))


def _add(library: Any, filter_: Any, action: int, rule: dict[str, Any]) -> None:
    arguments = [
        library.Arg(
            entry["index"],
            getattr(library, entry["op"].removeprefix("SCMP_CMP_")),
            entry["value"],
            entry["valueTwo"],
        )
        for entry in rule.get("args", ())
    ]
    for name in rule["names"]:
        if _known(library, name):
            filter_.add_rule(action, name, *arguments)


def _known(library: Any, name: str) -> bool:
    """Whether this libseccomp knows the call on this machine; an unknown one stays refused."""
    try:
        return int(library.resolve_syscall(library.Arch.NATIVE, name)) >= 0
    except (OSError, ValueError):
        return False


def _exported(filter_: Any) -> bytes:
    descriptor = os.memfd_create("filter", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "w+b", buffering=0) as file:
        filter_.export_bpf(file)
        file.seek(0)
        return file.read()

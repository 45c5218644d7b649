"""What is asked of the engine for one sandbox. Pure: values in, the request's fields out.

The fields are spelled as the engine's API spells them, so that tests can compare the
whole value and `docker inspect` can be held against it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.runtimes.base import Launch
from sandbox.runtimes.root import CONTROL, LAYER, RUNNER_ARGV, RUNNER_ENV, TMP
from sandbox.types import Resources

LABEL_INSTALLATION = "sandgate.installation"
LABEL_RUNTIME = "sandgate.runtime"
LABEL_SANDBOX = "sandgate.sandbox"
SHM_BYTES = 8 * 1024 * 1024
OPEN_FILES = 4096
TMP_FILES = 16384
HOSTS = "etc/hosts"
# the host's own processes are to survive when the host itself runs out of memory
OOM_SCORE = 500


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What of the engine changes the request."""

    cgroup_version: int
    remaps_users: bool  # rootless or with user namespaces: host ids are not for us to choose
    runtime: str = ""  # the engine's name of it; empty takes its default
    ignores_groups: bool = False  # what is asked of limits has no effect
    filters_calls: bool = True
    name: str = "docker"


def container_name(sandbox_id: str) -> str:
    """Name of a sandbox's container; the engine refuses a second one of the same name."""
    return f"sandgate-{sandbox_id}"


def container_fields(
    launch: Launch, *, image: str, root: Path, uid: int, profile: str, facts: EngineFacts
) -> dict[str, Any]:
    """Arguments of the engine client's `create_container`; `root` is the runner root."""
    return {
        "image": image,
        "name": container_name(launch.sandbox_id),
        "command": ["--practise", "no"] if launch.is_awaited else [],
        "entrypoint": list(RUNNER_ARGV),
        "environment": dict(RUNNER_ENV),
        "hostname": "sandbox",
        "user": f"{uid}:{uid}",
        "working_dir": "/",
        "labels": {
            **launch.labels,
            LABEL_SANDBOX: launch.sandbox_id,
            LABEL_RUNTIME: facts.name,
        },
        "stdin_open": False,
        "tty": False,
        "network_disabled": True,
        "stop_signal": "SIGTERM",
        "host_config": _host_config(launch, root, uid=uid, profile=profile, facts=facts),
    }


def update_fields(resources: Resources) -> dict[str, Any]:
    """What is asked of the engine to give a living container other limits."""
    memory = resources.memory_mb * 1024 * 1024
    return {
        "Memory": memory,
        "MemorySwap": memory,
        "PidsLimit": resources.pids,
        "NanoCpus": int(resources.cpus * 1_000_000_000),
    }


def _host_config(
    launch: Launch, root: Path, *, uid: int, profile: str, facts: EngineFacts
) -> dict[str, Any]:
    return {
        **_walls(profile, facts),
        **_limits(launch.resources, facts),
        **_files(launch, root, uid),
        "Init": False,  # the runner's supervisor is the first process and reaps
        "LogConfig": {"Type": "none", "Config": {}},
        "AutoRemove": True,
        "RestartPolicy": {"Name": "no"},
    }


def _walls(profile: str, facts: EngineFacts) -> dict[str, Any]:
    filter_ = [f"seccomp={profile}"] if facts.filters_calls else []
    return {
        **({"Runtime": facts.runtime} if facts.runtime else {}),
        "Privileged": False,
        "NetworkMode": "none",
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true", *filter_],
        "IpcMode": "private",
        "CgroupnsMode": "private",
    }


def _limits(resources: Resources, facts: EngineFacts) -> dict[str, Any]:
    memory = resources.memory_mb * 1024 * 1024
    limits: dict[str, Any] = {
        "Memory": memory,
        "MemorySwap": memory,  # memory and swap together: no swap
        "PidsLimit": resources.pids,
        "NanoCpus": int(resources.cpus * 1_000_000_000),
        "OomScoreAdj": OOM_SCORE,
        "Ulimits": [
            {"Name": name, "Soft": value, "Hard": value}
            for name, value in _ulimits(resources, facts).items()
        ],
    }
    if facts.cgroup_version == 1:
        limits["MemorySwappiness"] = 0
    return limits


def _ulimits(resources: Resources, facts: EngineFacts) -> dict[str, int]:
    limits = {"core": 0, "fsize": resources.tmp_mb * 1024 * 1024, "nofile": OPEN_FILES}
    if not facts.remaps_users:  # counted per user: with a shared one it would count strangers
        limits["nproc"] = resources.pids
    return limits


def _files(launch: Launch, root: Path, uid: int) -> dict[str, Any]:
    size = launch.resources.tmp_mb * 1024 * 1024
    options = f"size={size},nr_inodes={TMP_FILES},mode=0700,uid={uid},gid={uid}"
    return {
        "Tmpfs": {TMP: f"rw,noexec,nosuid,nodev,{options}"},
        "ShmSize": SHM_BYTES,
        "Mounts": [
            _read_only(launch.control_dir, CONTROL),
            _read_only(root / HOSTS, f"/{HOSTS}"),  # engines put an empty one over the image's
            *([] if launch.layer is None else [_read_only(launch.layer, LAYER)]),
        ],
    }


def _read_only(source: Path, target: str) -> dict[str, Any]:
    """A folder of the host. Engines know no nosuid or nodev for one; new privileges are
    refused and no device may be opened in the whole container."""
    return {
        "Type": "bind",
        "Source": str(source),
        "Target": target,
        "ReadOnly": True,
        "BindOptions": {"Propagation": "rprivate"},
    }

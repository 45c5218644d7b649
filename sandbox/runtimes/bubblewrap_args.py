"""The arguments bubblewrap is started with. Pure: values in, list out.

bubblewrap grants nothing by itself but drops little either; every line here is a
piece of the wall, and tests compare the whole list.
"""

from dataclasses import dataclass
from pathlib import Path

from sandbox.runtimes.root import CONTROL, LAYER, RUNNER_ARGV, RUNNER_ENV, SHM, TMP
from sandbox.types import Resources

SHM_BYTES = 8 * 1024 * 1024
PROCESS_PREFIX = "sandgate"
OPEN_FILES = 4096
TMP_FILES = 16384
# address space beside the memory limit: thread stacks and mapped files that nothing touches
ADDRESS_SPARE = 4 * 1024**3
# of the host, and readable by everybody
HIDDEN_FILES = ("/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
                "/proc/timer_list")  # fmt: skip
HIDDEN_FOLDERS = ("/proc/acpi", "/proc/asound", "/proc/scsi")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the sandbox is on the host.

    `by_root`: bubblewrap is started by root, makes no user namespace, and the runner
    gives root up itself. Otherwise a user namespace maps the starter's own user.
    """

    uid: int
    by_root: bool
    can_disable_userns: bool = True  # bubblewrap 0.8 and later


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Open descriptors handed to bubblewrap."""

    info: int
    block: int
    seccomp: int | None  # None where this host can make no filter


def process_name(installation: str, sandbox_id: str) -> str:
    """What stands in the process list in place of `bwrap`; how strays are recognised."""
    return f"{PROCESS_PREFIX}:{installation}:{sandbox_id}"


def parse_process_name(name: str) -> tuple[str, str] | None:
    """Installation and sandbox of such a name; None for any other process."""
    prefix, _, rest = name.partition(":")
    installation, _, sandbox_id = rest.partition(":")
    if prefix != PROCESS_PREFIX or not installation or not sandbox_id:
        return None
    return installation, sandbox_id


def arguments(
    *,
    root: Path,
    control_dir: Path,
    layer: Path | None,
    resources: Resources,
    identity: Identity,
    descriptors: Descriptors,
    hidden: frozenset[str],
) -> list[str]:
    """All options. `hidden` names what of /proc exists on this host."""
    return [
        *_namespaces(identity),
        *(
            "--as-pid-1",
            "--new-session",
            "--die-with-parent",
            "--hostname",
            "sandbox",
            "--clearenv",
        ),
        *(part for name, value in RUNNER_ENV.items() for part in ("--setenv", name, value)),
        *("--ro-bind", str(root), "/"),
        *_proc(hidden),
        *("--dev", "/dev"),
        *("--perms", "1777", "--size", str(SHM_BYTES), "--tmpfs", SHM),
        *("--remount-ro", "/dev"),
        *("--perms", "1777", "--size", str(resources.tmp_mb * 1024 * 1024), "--tmpfs", TMP),
        *("--ro-bind", str(control_dir), CONTROL),
        *(() if layer is None else ("--ro-bind", str(layer), LAYER)),
        *("--chdir", "/"),
        *("--info-fd", str(descriptors.info), "--block-fd", str(descriptors.block)),
        *_filter(descriptors.seccomp),
    ]


def tmp_options(resources: Resources) -> dict[str, str]:
    """What the writable folders get beyond bubblewrap's own options, where root can give it."""
    inodes = f"nr_inodes={TMP_FILES}"
    return {
        TMP: f"size={resources.tmp_mb * 1024 * 1024},{inodes},mode=1777",
        SHM: f"size={SHM_BYTES},{inodes},mode=1777",
    }


def command(identity: Identity, *, is_awaited: bool = False) -> list[str]:
    """What runs inside. Started by root, it is told whom to become.

    No later manager can take it over, so without its own it ends at once; the kernel's
    signal at a parent's death does not reach a user other than the parent's.
    """
    runner = [*RUNNER_ARGV, "--orphan-seconds", "0"]
    if is_awaited:
        runner += ["--practise", "no"]
    if identity.by_root:
        return [*runner, "--uid", str(identity.uid), "--gid", str(identity.uid)]
    return runner


def _namespaces(identity: Identity) -> list[str]:
    """Named one by one: `--unshare-all` would try a user namespace for root as well."""
    each = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
    each.append("--unshare-cgroup-try")
    if identity.by_root:
        return [*each, "--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    user = ["--unshare-user", "--uid", str(identity.uid), "--gid", str(identity.uid)]
    nested = ["--disable-userns"] if identity.can_disable_userns else []
    return [*each, *user, *nested, "--cap-drop", "ALL"]


def _proc(hidden: frozenset[str]) -> list[str]:
    files = [name for name in HIDDEN_FILES if name in hidden]
    folders = [name for name in HIDDEN_FOLDERS if name in hidden]
    return [
        *("--proc", "/proc"),
        *(part for name in files for part in ("--ro-bind", "/dev/null", name)),
        *(part for name in folders for part in ("--size", "4096", "--tmpfs", name)),
        *(part for name in folders for part in ("--remount-ro", name)),
    ]


def _filter(descriptor: int | None) -> list[str]:
    return [] if descriptor is None else ["--seccomp", str(descriptor)]


def process_limits(resources: Resources, *, own_user: bool, memory_group: bool) -> dict[str, int]:
    """Limits of each process by name; those a control group sets better are left to it."""
    memory = resources.memory_mb * 1024 * 1024
    limits = {"CORE": 0, "FSIZE": resources.tmp_mb * 1024 * 1024, "NOFILE": OPEN_FILES}
    if own_user:  # the kernel counts per user: with a shared one it would count strangers
        limits["NPROC"] = resources.pids
    if not memory_group:
        limits |= {"DATA": memory, "AS": memory + ADDRESS_SPARE}
    return limits

"""Code of somebody who wants out. Handed to a sandbox as text; the host never imports it.

Every probe tries something, says what it ended with and judges nothing.
"""
# ruff: noqa: S108 - the folders and addresses of whoever tries to get out

import ctypes
import errno
import fcntl
import mmap
import os
import random
import signal
import socket
import stat
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI

app = FastAPI()
LIBC = ctypes.CDLL(None, use_errno=True)
PROBES: dict[str, Callable[[], Any]] = {}
# numbers of x86_64, and arguments that would do harm
# fmt: off
CALLS: dict[str, tuple[Any, ...]] = {
    "ptrace": (101, 16, 1, 0, 0), "syslog": (103, 3, 0, 0), "personality": (135, 262144),
    "modify_ldt": (154, 0, 0, 0), "pivot_root": (155, 0, 0),
    "adjtimex": (159, b"\1" + bytes(207)), "chroot": (161, b"/tmp"),
    "settimeofday": (164, bytes(16), 0), "mount": (165, b"none", b"/tmp", b"tmpfs", 0, 0),
    "umount2": (166, b"/tmp", 2), "sethostname": (170, b"mine", 4),
    "setdomainname": (171, b"mine", 4), "init_module": (175, 0, 0, b""),
    "clock_settime": (227, 0, bytes(16)), "kexec_load": (246, 0, 0, 0, 0),
    "add_key": (248, b"user", b"a", b"b", 1, -1), "request_key": (249, b"user", b"a", 0, -1),
    "keyctl": (250, 0, -1), "unshare": (272, 268435456), "splice": (275, 0, 0, 1, 0, 1, 0),
    "tee": (276, 0, 1, 1, 0), "vmsplice": (278, 1, 0, 0, 0),
    "perf_event_open": (298, 0, 0, -1, -1, 0), "fanotify_init": (300, 0, 0),
    "name_to_handle_at": (303, -100, b"/", 0, 0, 0), "open_by_handle_at": (304, -100, 0, 0),
    "setns": (308, 0, 0), "process_vm_readv": (310, 1, 0, 0, 0, 0, 0),
    "process_vm_writev": (311, 1, 0, 0, 0, 0, 0), "kcmp": (312, 1, 1, 0, 0, 0),
    "finit_module": (313, 0, b"", 0), "bpf": (321, 0, 0, 0), "userfaultfd": (323, 0),
    "io_uring_setup": (425, 1, 0), "open_tree": (428, -100, b"/", 1),
    "move_mount": (429, -1, b"", -1, b"", 0), "fsopen": (430, b"tmpfs", 0),
    "fsmount": (432, -1, 0, 0), "clone3": (435, 0, 0), "pidfd_getfd": (438, 0, 0, 0),
    "clone_newuser": (56, 268435473, 0, 0, 0, 0), "clone_newnet": (56, 1073741841, 0, 0, 0, 0),
}
FAMILIES = {"alg": 38, "can": 29, "key": 15, "packet": 17, "rxrpc": 33, "vsock": 40, "xdp": 44}
ADDRESSES = {
    "metadata": ("169.254.169.254", 80), "metadata v6": ("fd00:ec2::254", 80),
    "metadata of another cloud": ("168.63.129.16", 80), "task credentials": ("169.254.170.2", 80),
    "link-local v6": ("fe80::1", 80), "bridge gateway": ("172.17.0.1", 2375),
    "private network": ("192.168.0.1", 80), "public": ("8.8.8.8", 53), "mail": ("8.8.4.4", 25),
    "public v6": ("2001:4860:4860::8888", 53), "mapped v4": ("::ffff:8.8.8.8", 53),
    "nat64": ("64:ff9b::808:808", 53),
}
SOCKETS = (
    "/run/docker.sock", "/var/run/docker.sock", "/run/containerd/containerd.sock",
    "/run/podman/podman.sock", "/run/dbus/system_bus_socket", "/ctl/manager.sock",
)
PROGRAMS = {"sh", "bash", "dash", "busybox", "gcc", "cc", "ld", "as", "pip", "su", "sudo", "apt"}
WRITTEN = (
    "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sysrq-trigger",
    "/proc/sys/vm/overcommit_memory", "/sys/kernel/uevent_helper", "/proc/1/oom_score_adj",
    "/sys/fs/cgroup/memory/release_agent", "/sys/fs/cgroup/memory/notify_on_release",
    "/sys/fs/cgroup/cgroup.procs",
)
SEEN = (
    "/proc/kcore", "/proc/1/root/../../etc/shadow", "/proc/1/cwd/../etc/shadow", "/etc/shadow",
    "/dev/mem", "/dev/kmsg", "/dev/sda", "/sys/firmware/acpi/tables/DSDT",
    "/sys/class/powercap/intel-rapl/enabled",
)
# fmt: on


def probe(function: Callable[[], Any]) -> Callable[[], Any]:
    """Make it callable by its name."""
    PROBES[function.__name__] = function
    return function


@app.get("/alive")
def alive() -> str:
    """For a neighbour: still here."""
    return "alive"


@app.get("/probe/{name}")
def run(name: str) -> Any:
    """One probe."""
    return PROBES[name]()


@app.get("/mark")
def mark(text: str) -> str:
    """Leave a text everywhere it can be left, as a neighbour with something to hide."""
    for folder in ("/tmp", "/dev/shm"):
        (Path(folder) / "neighbour").write_text(text)
    os.environ["NEIGHBOUR"] = text
    return text


@app.get("/search")
def search(text: str) -> list[str]:
    """Where a text can be found: another's files, variables, command lines."""
    folders = ("/tmp", "/dev/shm", "/run", "/var", "/ctl", "/layer")
    paths = [
        os.path.join(f, name) for top in folders for f, _, names in os.walk(top) for name in names
    ]
    paths += [f"/proc/{pid}/{name}" for pid in pids() for name in ("environ", "cmdline")]
    return [path for path in paths if text.encode() in readable(path, 1 << 20)]


def attempt(action: Callable[..., object], *arguments: Any) -> str:
    """Name of the error that an action ends with, or ok."""
    try:
        action(*arguments)
        return "ok"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)


def opened(path: str, flags: int) -> str:
    """What opening ends with."""
    return attempt(lambda: os.close(os.open(path, flags)))


def unmade(family: int, kind: int, protocol: int = 0) -> str:
    """What making a socket ends with."""
    return attempt(lambda: socket.socket(family, kind, protocol).close())


def readable(path: str, size: int = 100) -> bytes:
    """The beginning of a file; nothing when it may not be read."""
    try:
        with open(path, "rb") as file:
            return file.read(size)
    except OSError:
        return b""


def pids() -> list[str]:
    """Of all processes that can be seen."""
    return [name for name in os.listdir("/proc") if name.isdigit()]


@probe
def status() -> dict[str, str]:
    """What the kernel says of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


@probe
def variables() -> dict[str, list[str]]:
    """Names of variables, and of those that any process shows to others."""
    texts = [readable(f"/proc/{pid}/environ", 1 << 20) for pid in pids()]
    shown = {one.partition(b"=")[0].decode() for text in texts for one in text.split(b"\0")}
    return {"own": sorted(os.environ), "shown": sorted(shown)}


@probe
def processes() -> list[str]:
    """Command lines of all processes that can be seen."""
    return [readable(f"/proc/{pid}/cmdline").replace(b"\0", b" ").decode() for pid in pids()]


@probe
def descriptors() -> list[str]:
    """What this process's descriptors name in the file system."""
    numbers = [n for n in range(1024) if os.path.lexists(f"/proc/self/fd/{n}")]
    named = [os.readlink(f"/proc/self/fd/{number}") for number in numbers]
    return [target for target in named if target.startswith("/")]


@probe
def chance() -> list[str]:
    """Values that no other sandbox may have."""
    return [os.urandom(16).hex(), str(uuid.uuid4()), str(random.random()), str(hash("a"))]  # noqa: S311


@probe
def leftovers() -> list[str]:
    """What somebody before could have left: files, shared memory, queues."""
    tops = ("/tmp", "/dev/shm", "/dev/mqueue")
    found = [
        os.path.join(f, name) for top in tops for f, _, names in os.walk(top) for name in names
    ]
    for kind in ("msg", "sem", "shm"):
        lines = readable(f"/proc/sysvipc/{kind}", 1 << 16).decode().splitlines()
        found += [f"{kind}: {line}" for line in lines[1:]]
    return found


@probe
def calls() -> dict[str, str]:
    """System calls that nobody needs."""
    return {name: apart(direct, *one) for name, one in CALLS.items()}


def direct(number: int, *arguments: Any) -> str:
    """One system call."""
    ctypes.set_errno(0)
    result = LIBC.syscall(number, *arguments)
    return errno.errorcode.get(ctypes.get_errno(), "?") if result < 0 else "ok"


def apart(action: Callable[..., str], *arguments: Any) -> str:
    """What an action ends with in a process of its own, or the signal that ended it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, action(*arguments).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        said = file.read(100).decode()
    _, ended = os.waitpid(child, 0)
    if os.WIFSIGNALED(ended):
        return signal.Signals(os.WTERMSIG(ended)).name
    return said or "nothing"


@probe
def compat() -> str:
    """A call of the 32-bit kind, by which filters for 64 bits are passed: getpid."""
    return apart(compat_call)


def compat_call() -> str:
    """In machine code: push rbx; mov eax, 20; int 0x80; pop rbx; ret."""
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(b"\x53\xb8\x14\x00\x00\x00\xcd\x80\x5b\xc3")
    result = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
    return "ok" if result > 0 else errno.errorcode.get(-result, "?")


@probe
def families() -> dict[str, str]:
    """Kinds of sockets that reach rarely used parts of the kernel."""
    found = {name: unmade(number, socket.SOCK_RAW) for name, number in FAMILIES.items()}
    return found | {"netfilter": unmade(socket.AF_NETLINK, socket.SOCK_RAW, 12)}


@probe
def terminal() -> dict[str, str]:
    """Typing into the terminal of whoever started this."""
    typed = {str(number): attempt(fcntl.ioctl, number, 0x5412, b"x") for number in range(3)}
    return typed | {"/dev/tty": opened("/dev/tty", os.O_RDWR)}


@probe
def supervisor() -> dict[str, str]:
    """Reaching into the process that started this one."""
    found: dict[str, str] = {}
    for number in {1, os.getppid()}:
        found[f"memory of {number}"] = opened(f"/proc/{number}/mem", os.O_RDWR)
        found[f"variables of {number}"] = opened(f"/proc/{number}/environ", os.O_RDONLY)
        for name in ("fd", "root/", "cwd/"):
            found[f"{name} of {number}"] = attempt(os.listdir, f"/proc/{number}/{name}")
    return found


@probe
def writes() -> list[str]:
    """Folders in which a file can be made."""
    folders = [folder for folder, _, _ in os.walk("/") if not folder.startswith(("/proc", "/sys"))]
    return [folder for folder in folders if attempt(written, Path(folder, ".probe")) == "ok"]


def written(path: Path) -> None:
    """Make a file."""
    path.write_text("x")
    path.unlink()


@probe
def control() -> dict[str, str]:
    """Putting something else in the place of the sockets that the host listens on."""
    engine, mine = "/run/docker.sock", socket.socket(socket.AF_UNIX)
    return {
        "replace by link": attempt(os.symlink, engine, "/ctl/control.sock"),
        "new link": attempt(os.symlink, engine, "/ctl/other.sock"),
        "fifo": attempt(os.mkfifo, "/ctl/fifo"),
        "folder": attempt(os.mkdir, "/ctl/folder"),
        "long name": attempt(os.mkdir, "/ctl/" + "x" * 250),
        "hard link": attempt(os.link, "/ctl/door.sock", "/ctl/again.sock"),
        "socket": attempt(mine.bind, "/ctl/mine.sock"),
        "rename": attempt(os.rename, "/ctl/door.sock", "/ctl/moved.sock"),
        "remove": attempt(os.unlink, "/ctl/door.sock"),
        "rights of the folder": attempt(os.chmod, "/ctl", 0o777),
        "the folder itself": attempt(os.rename, "/ctl", "/tmp/ctl"),
    }


@probe
def nodes() -> dict[str, str]:
    """Making device nodes and programs; putting something in the place of devices."""
    path = tempfile.mkdtemp(dir="/tmp")
    return {
        "disk": attempt(node, f"{path}/disk", 0o600 | stat.S_IFBLK, os.makedev(8, 0)),
        "memory": attempt(node, f"{path}/mem", 0o600 | stat.S_IFCHR, os.makedev(1, 1)),
        "replace null": attempt(os.rename, "/dev/null", "/dev/gone"),
        "link for null": attempt(os.symlink, "/proc/sys", "/dev/null"),
        "new device": attempt(os.mkdir, "/dev/mine"),
        "run from tmp": apart(run_from, path),
    }


def node(path: str, mode: int, device: int) -> None:
    """Make a device node, and use it."""
    os.mknod(path, mode, device)
    os.close(os.open(path, os.O_RDONLY))


def run_from(folder: str) -> str:
    """Execute a file of one's own."""
    path = Path(folder, "program")
    path.write_text("#!/python/bin/python3\n")
    path.chmod(0o755)
    return attempt(os.execv, path, [path])


@probe
def kernel_files() -> dict[str, str]:
    """What writing, or for secrets reading, ends with."""
    found = {path: opened(path, os.O_WRONLY) for path in WRITTEN}
    return found | {path: opened(path, os.O_RDONLY) for path in SEEN}


@probe
def host_facts() -> dict[str, Any]:
    """What can be read of the host; sizes of files that describe it."""
    described = ("/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/proc/kcore")
    symbols = readable("/proc/kallsyms", 4096).decode().splitlines()
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return {
        "sizes": {path: len(readable(path)) for path in described},
        "addresses": [line for line in symbols if line.split()[0].strip("0")][:3],
        "hostname": socket.gethostname(),
        "control folders": sorted({mount[3] for mount in mounts if mount[4] == "/ctl"}),
        "writable mounts": [mount[4] for mount in mounts if mount[5].startswith("rw")],
    }


@probe
def files() -> dict[str, list[str]]:
    """Programs by name, files with more rights than their user, devices outside /dev, sockets."""
    found: dict[str, list[str]] = {
        kind: [] for kind in ("programs", "privileged", "devices", "sockets")
    }
    for folder, folders, names in os.walk("/"):
        if folder.startswith(("/proc", "/sys", "/dev")):
            folders.clear()
            continue
        for name in names:
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode if os.path.lexists(path) else 0
            if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
                found["privileged"].append(path)
            if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
                found["devices"].append(path)
            if stat.S_ISSOCK(mode):
                found["sockets"].append(path)
            if name in PROGRAMS:
                found["programs"].append(path)
    return found


@probe
def network() -> dict[str, Any]:
    """Interfaces, and whoever could be reached without the door."""
    interfaces = readable("/proc/net/dev", 4096).decode().splitlines()[2:]
    return {
        "interfaces": [line.split(":")[0].strip() for line in interfaces],
        "dialled": {name: attempt(connect, address) for name, address in ADDRESSES.items()},
        "sent": attempt(socket.socket(type=socket.SOCK_DGRAM).sendto, b"x", ("8.8.8.8", 53)),
        "pinged": unmade(socket.AF_INET, socket.SOCK_RAW, 1),
        "resolved": attempt(socket.getaddrinfo, "example.com", 80),
    }


def connect(address: Any) -> None:
    """Connect, and leave."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else family) as sock:
        sock.settimeout(2)
        sock.connect(address)


@probe
def engine_sockets() -> dict[str, Any]:
    """Sockets of the host that should not be here, by path and without one."""
    names = [line.split()[-1] for line in readable("/proc/net/unix", 1 << 16).decode().splitlines()]
    abstract = [name for name in names if name.startswith("@")]
    return {path: attempt(connect, path) for path in SOCKETS} | {"abstract": abstract}

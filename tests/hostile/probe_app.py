"""Code of somebody who wants out. Read as text and run in a sandbox, never imported by tests."""

import ctypes
import errno
import os
import signal
import socket
import stat
import threading
from pathlib import Path
from typing import Any

from fastapi import FastAPI

app = FastAPI()
LIBC = ctypes.CDLL(None, use_errno=True)
CALLS = {  # numbers of x86_64, and arguments that would do harm
    "ptrace": (101, 16, 1, 0, 0),
    "syslog": (103, 3, 0, 0),
    "personality": (135, 0x0040000),
    "pivot_root": (155, 0, 0),
    "chroot": (161, b"/tmp"),
    "mount": (165, b"none", b"/tmp", b"tmpfs", 0, 0),
    "umount2": (166, b"/tmp", 2),
    "sethostname": (170, b"mine", 4),
    "init_module": (175, 0, 0, b""),
    "kexec_load": (246, 0, 0, 0, 0),
    "add_key": (248, b"user", b"a", b"b", 1, -1),
    "request_key": (249, b"user", b"a", 0, -1),
    "keyctl": (250, 0, -1),
    "unshare": (272, 0x10000000),
    "splice": (275, 0, 0, 1, 0, 1, 0),
    "tee": (276, 0, 1, 1, 0),
    "vmsplice": (278, 1, 0, 0, 0),
    "perf_event_open": (298, 0, 0, -1, -1, 0),
    "fanotify_init": (300, 0, 0),
    "name_to_handle_at": (303, -100, b"/", 0, 0, 0),
    "open_by_handle_at": (304, -100, 0, 0),
    "clock_settime": (227, 0, 0),
    "setns": (308, 0, 0),
    "process_vm_readv": (310, 1, 0, 0, 0, 0, 0),
    "kcmp": (312, 1, 1, 0, 0, 0),
    "bpf": (321, 0, 0, 0),
    "userfaultfd": (323, 0),
    "io_uring_setup": (425, 1, 0),
    "open_tree": (428, -100, b"/", 1),
    "move_mount": (429, -1, b"", -1, b"", 0),
    "fsopen": (430, b"tmpfs", 0),
    "clone3": (435, 0, 0),
    "pidfd_getfd": (438, 0, 0, 0),
    "clone_newuser": (56, 0x10000000 | 17, 0, 0, 0, 0),
    "clone_newnet": (56, 0x40000000 | 17, 0, 0, 0, 0),
}
FAMILIES = {"alg": 38, "can": 29, "key": 15, "packet": 17, "rxrpc": 33, "vsock": 40, "xdp": 44}


def name_of(number: int) -> str:
    return errno.errorcode.get(number, str(number)) if number else "ok"


def attempt(action: Any) -> str:
    """Name of the error an action ends with, or ok."""
    try:
        action()
    except OSError as error:
        return name_of(error.errno or 0)
    return "ok"


@app.get("/status")
def status() -> dict[str, str]:
    lines = Path("/proc/self/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


@app.get("/environment")
def environment() -> dict[str, str]:
    return dict(os.environ)


@app.get("/calls")
def calls() -> dict[str, str]:
    answers = {}
    for name, (number, *arguments) in CALLS.items():
        ctypes.set_errno(0)
        result = LIBC.syscall(number, *arguments)
        if result == 0 and name.startswith("clone_"):
            os._exit(0)
        answers[name] = name_of(ctypes.get_errno()) if result < 0 else "ok"
    return answers


@app.get("/families")
def families() -> dict[str, str]:
    return {
        name: attempt(lambda n=number: socket.socket(n, socket.SOCK_RAW))
        for name, number in FAMILIES.items()
    } | {
        "netlink": attempt(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)),
        "netfilter": attempt(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)),
        "icmp": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 1)),
        "raw": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 6)),
        "sctp": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132)),
        "sctp6": attempt(lambda: socket.socket(socket.AF_INET6, socket.SOCK_SEQPACKET, 0)),
        "mptcp": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)),
    }


@app.get("/network")
def network() -> dict[str, Any]:
    def dial(host: str, port: int) -> str:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as sock:
            sock.settimeout(2)
            return attempt(lambda: sock.connect((host, port)))

    lines = Path("/proc/net/dev").read_text().splitlines()
    targets = ["169.254.169.254", "172.17.0.1", "8.8.8.8", "fd00:ec2::254", "::ffff:8.8.8.8"]
    return {
        "interfaces": [line.partition(":")[0].strip() for line in lines[2:]],
        "dialled": {host: dial(host, 80) for host in targets},
        "resolved": attempt(lambda: socket.getaddrinfo("example.com", 80)),
    }


@app.get("/writes")
def writes() -> list[str]:
    """Folders in which a file can be made."""
    found = []
    for folder, folders, _ in os.walk("/"):
        if folder.startswith(("/proc", "/sys")):
            folders.clear()
            continue
        path = Path(folder) / ".probe"
        try:
            path.write_text("x")
            path.unlink()
        except OSError:
            continue
        found.append(folder)
    return found


@app.get("/kernel-files")
def kernel_files() -> dict[str, str]:
    """What writing, or for secrets reading, ends with."""
    written = ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sysrq-trigger",
                "/proc/self/uid_map", "/sys/kernel/uevent_helper",
               "/sys/fs/cgroup/memory/release_agent"]  # fmt: skip
    read = ["/proc/kcore", "/proc/1/root/../../etc/shadow", "/dev/mem", "/dev/kmsg"]

    def write(path: str) -> None:
        os.close(os.open(path, os.O_WRONLY))

    def open_(path: str) -> None:
        os.close(os.open(path, os.O_RDONLY))

    return {p: attempt(lambda p=p: write(p)) for p in written} | {
        p: attempt(lambda p=p: open_(p)) for p in read
    }


@app.get("/secrets")
def secrets() -> dict[str, int]:
    """How many bytes come out of files that describe the host."""
    sizes = {}
    for path in ("/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/proc/kcore"):
        try:
            with open(path, "rb") as file:
                sizes[path] = len(file.read(100))
        except OSError:
            sizes[path] = 0
    return sizes


@app.get("/files")
def files() -> dict[str, list[str]]:
    """Programs by name, files with setuid, device nodes outside /dev."""
    programs, privileged, devices = [], [], []
    for folder, folders, names in os.walk("/"):
        if folder.startswith(("/proc", "/sys", "/dev")):
            folders.clear()
            continue
        for name in names:
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
                privileged.append(path)
            if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
                devices.append(path)
            if name in {"sh", "bash", "dash", "busybox", "gcc", "cc", "ld", "pip", "su", "apt"}:
                programs.append(path)
    return {"programs": programs, "privileged": privileged, "devices": devices}


@app.get("/processes")
def processes() -> list[str]:
    """Command lines of all processes that can be seen."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


@app.get("/descriptors")
def descriptors() -> list[str]:
    """What this process's descriptors name in the file system."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            continue
    return [target for target in found if target.startswith("/")]


@app.get("/supervisor")
def supervisor() -> dict[str, str]:
    """Reaching into the process that started this one."""
    parent = os.getppid()
    return {
        "memory": attempt(lambda: os.close(os.open(f"/proc/{parent}/mem", os.O_RDWR))),
        "descriptors": attempt(lambda: os.listdir(f"/proc/{parent}/fd")),
    }


@app.get("/forks")
def forks() -> int:
    """How many processes can be had."""
    children: list[int] = []
    while len(children) < 2000:
        try:
            child = os.fork()
        except OSError:
            break
        if child == 0:
            signal.pause()
        children.append(child)
    for child in children:
        os.kill(child, 9)
        os.waitpid(child, 0)
    return len(children)


@app.get("/threads")
def threads() -> int:
    """How many threads can be had."""
    done, count = threading.Event(), 0
    try:
        while count < 2000:
            threading.Thread(target=done.wait).start()
            count += 1
    except RuntimeError:
        pass
    done.set()
    return count


@app.get("/fill")
def fill(folder: str, megabytes: int) -> dict[str, Any]:
    """Write files until it ends, as many as are allowed."""
    written, error, names = 0, "ok", []
    try:
        for number in range(megabytes):
            path = Path(folder) / f"fill{number}"
            names.append(path)
            path.write_bytes(b"x" * 1_000_000)
            written += 1
    except OSError as caught:
        error = name_of(caught.errno or 0)
    for path in names:
        path.unlink(missing_ok=True)
    return {"written": written, "error": error}


@app.get("/huge-file")
def huge_file() -> str:
    """A sparse file larger than the whole of /tmp."""
    with open("/tmp/huge", "wb") as file:
        result = attempt(lambda: os.truncate(file.fileno(), 10**12))
    os.unlink("/tmp/huge")
    return result


@app.get("/shutdown")
def shutdown() -> str:
    """Kill everything that can be killed."""
    return attempt(lambda: os.kill(-1, 9))

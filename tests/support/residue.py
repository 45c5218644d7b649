"""What an installation could leave behind on this machine."""

import subprocess
from pathlib import Path

import psutil

CGROUPS = Path("/sys/fs/cgroup")


def containers(installation: str) -> list[str]:
    """Names of containers, running or not, that carry the installation's label."""
    try:
        listed = subprocess.run(
            ["docker", "ps", "-a", "-q", "--filter", f"label=sandgate.installation={installation}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    except FileNotFoundError:
        return []
    return listed.stdout.split()


def processes(data_dir: Path) -> list[str]:
    """Command lines that name the data directory."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(data_dir) in line and process.pid != psutil.Process().pid:
            found.append(line)
    return found


def cgroups(installation: str) -> list[str]:
    """Control groups of the installation that still exist, under any hierarchy."""
    return [
        str(group)
        for root in (CGROUPS, *CGROUPS.glob("*"))
        for group in (root / "sandgate" / installation).glob("*")
        if group.is_dir()
    ]


def sockets(run_dir: Path) -> list[str]:
    """Sockets of sandboxes, and control directories."""
    return [str(path) for name in ("s", "ctl") for path in (run_dir / name).glob("*")]

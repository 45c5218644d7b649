"""What the doctor says: values and their text. Pure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sandbox.types import Tier, TierStatus

DISK_FREE_MB = 1024


@dataclass(frozen=True, slots=True)
class Check:
    """One part of the machine. `remedy` says what to do when it is not ok."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    needed: bool = True  # False: works without, but worse

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form."""
        return asdict(self)


def render(checks: Sequence[Check]) -> str:
    """One line for each check, and what to do below those that are not ok."""
    width = max((len(check.name) for check in checks), default=0)
    return "\n".join(line for check in checks for line in _lines(check, width))


def _lines(check: Check, width: int) -> list[str]:
    status = "ok" if check.ok else "missing" if check.needed else "degraded"
    lines = [f"{status:<9}{check.name:<{width}}  {check.detail}".rstrip()]
    if not check.ok and check.remedy:
        lines.append(f"{'':<9}{'':<{width}}  -> {check.remedy}")
    return lines


def judge_disk(free_mb: int, writable: bool, folder: str) -> Check:
    """Room for the database, the runner root and an image."""
    if not writable:
        return Check("disk", False, f"{folder} cannot be written", "set SANDGATE_DATA_DIR")
    detail = f"{free_mb} MB free at {folder}"
    remedy = f"free at least {DISK_FREE_MB} MB"
    return Check("disk", free_mb >= DISK_FREE_MB, detail, remedy)


def judge_limits(version: int, missing: Sequence[str], *, needed: bool) -> Check:
    """Control groups: without them limits hold for single processes only."""
    if not missing:
        return Check("control groups", True, f"version {version}: memory, processes, cpu")
    return Check(
        "control groups",
        False,
        f"not available here: {', '.join(missing)}",
        "run as root, or let systemd delegate: Delegate=memory pids cpu",
        needed,
    )


def judge_namespaces(allowed: int, *, by_root: bool) -> Check:
    """User namespaces, which only bubblewrap without root needs."""
    if by_root:
        return Check("namespaces", True, "made by root")
    return Check(
        "namespaces",
        allowed > 0,
        f"{allowed} user namespaces allowed",
        "sysctl user.max_user_namespaces=10000",
        needed=False,
    )


def judge_tiers(tiers: Sequence[TierStatus], floor: Tier | None = None) -> list[Check]:
    """One row for each, strongest first. One must be there that is as strong as the floor."""
    reached = any(one.is_available and one.tier.reaches(floor) for one in tiers)
    rows = []
    for one in tiers:
        needed = floor is not None and not reached and one.tier.reaches(floor)
        lacks = f"without {', '.join(one.missing)}" if one.missing else "complete"
        detail = f"{one.runtime}, {lacks}" if one.is_available else "not available"
        rows.append(Check(f"tier {one.tier}", one.is_available, detail, one.detail, needed))
    return rows


def judge_any(docker: Check, bubblewrap: Check, runtime: str) -> tuple[Check, Check]:
    """With `auto` one of the two runtimes is enough; a named one must be there."""
    alone = {"docker": (True, False), "bubblewrap": (False, True)}.get(
        runtime, (not bubblewrap.ok, not docker.ok)
    )
    return _needing(docker, alone[0]), _needing(bubblewrap, alone[1])


def _needing(check: Check, needed: bool) -> Check:
    return Check(check.name, check.ok, check.detail, check.remedy, needed)

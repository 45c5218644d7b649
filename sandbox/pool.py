"""Decisions about the pool, as values: what to launch, which to take, whom to freeze or end."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sandbox.types import Resources, Tier


class Status(StrEnum):
    """Life of one sandbox; it only moves down this list."""

    LAUNCHING = "launching"  # the engine was told; its runner has not dialled yet
    BLANK = "blank"  # warm, without code
    STARTING = "starting"  # has code, not ready
    READY = "ready"  # takes calls
    WORN = "worn"  # finishes its calls and takes no new ones
    STOPPING = "stopping"  # unroutable, on its way out


@dataclass(frozen=True, slots=True)
class Key:
    """What is fixed at launch: only a blank of the same key can become a given sandbox."""

    tier: Tier = Tier.NONE
    layer: str = ""
    tmp_mb: int = 64


@dataclass(frozen=True, slots=True)
class Policy:
    """Bounds of the pool, all times in seconds.

    A lease is permission to send calls for `lease_seconds`. When it is over for
    `freeze_seconds`, the sandbox is frozen; when it is over for `idle_seconds` and
    `grace_seconds`, it is stopped: a renewal may be on its way when a lease ends.
    """

    blanks: int = 2
    maximum: int = 100
    lease_seconds: float = 10.0
    freeze_seconds: float = 2.0
    idle_seconds: float = 600.0
    grace_seconds: float = 30.0
    parallel_launches: int = 2
    tenant_max: int = 50


@dataclass(frozen=True, slots=True)
class Member:
    """One sandbox as decisions see it. `reserved`: somebody waits for it already."""

    sandbox_id: str
    status: Status
    resources: Resources
    reserved: bool
    renewed_at: float
    key: Key = Key()
    tenant_id: str = ""
    frozen: bool = False
    can_freeze: bool = True


# --- blanks


def blanks_to_launch(
    members: Sequence[Member], policy: Policy, wanted: Mapping[Key, int]
) -> list[Key]:
    """Which blanks to launch now: at once, but never more than some at a time."""
    free = Counter(member.key for member in members if is_free(member))
    launching = sum(1 for member in members if member.status is Status.LAUNCHING)
    room = min(policy.maximum - len(members), policy.parallel_launches - launching)
    lacking = [key for key, count in wanted.items() for _ in range(count - free[key])]
    return lacking[: max(0, room)]


def choose_blank(members: Iterable[Member], key: Key, resources: Resources) -> str | None:
    """A free blank of this key: warm before one on its way, of the right size before another."""
    fitting = [member for member in members if is_free(member) and member.key == key]
    fitting.sort(key=lambda m: (m.status is not Status.BLANK, m.resources != resources))
    return fitting[0].sandbox_id if fitting else None


def is_free(member: Member) -> bool:
    """A blank, or one to be, that nobody waits for."""
    return member.status in (Status.LAUNCHING, Status.BLANK) and not member.reserved


# --- room


def has_room(members: Sequence[Member], policy: Policy) -> bool:
    """Whether one more may be launched."""
    return len(members) < policy.maximum


def tenant_is_full(members: Iterable[Member], policy: Policy, tenant_id: str) -> bool:
    """Whether a tenant has all it may have. Worn ones are on their way out and do not count."""
    return sum(1 for m in members if _is_of(m, tenant_id)) >= policy.tenant_max


def _is_of(member: Member, tenant_id: str) -> bool:
    if member.tenant_id != tenant_id or member.status is Status.WORN:
        return False
    return member.reserved or member.status in (Status.STARTING, Status.READY)


def choose_own_victim(
    members: Iterable[Member], policy: Policy, tenant_id: str, now: float
) -> str | None:
    """Who makes room when its own tenant is full: the one idle for longest."""
    idle = [m for m in members if m.tenant_id == tenant_id and is_idle(m, policy, now)]
    return min(idle, key=lambda member: member.renewed_at).sandbox_id if idle else None


def choose_victim(members: Sequence[Member], policy: Policy, now: float) -> str | None:
    """Who makes room when the machine is full.

    Of the tenant with most idle ones the one that is idle for longest; without any, a blank.
    """
    idle = [member for member in members if is_idle(member, policy, now)]
    if idle:
        most = Counter(member.tenant_id for member in idle)
        return min(idle, key=lambda m: (-most[m.tenant_id], m.renewed_at)).sandbox_id
    free = [member for member in members if is_free(member) and member.status is Status.BLANK]
    return free[0].sandbox_id if free else None


# --- leases


def is_idle(member: Member, policy: Policy, now: float) -> bool:
    """Whether nobody may send it calls: its lease is over."""
    return member.status is Status.READY and now - member.renewed_at >= policy.lease_seconds


def to_freeze(members: Iterable[Member], policy: Policy, now: float) -> list[str]:
    """Those whose lease is over for a moment."""
    return [m.sandbox_id for m in members if may_freeze(m, policy, now) and not m.frozen]


def may_freeze(member: Member, policy: Policy, now: float) -> bool:
    """Whether it is safe to freeze this one now."""
    limit = policy.lease_seconds + policy.freeze_seconds
    over = member.status is Status.READY and now - member.renewed_at >= limit
    return over and member.can_freeze


def to_expire(members: Iterable[Member], policy: Policy, now: float) -> list[str]:
    """Those nobody has renewed for their lease, their idle time and the grace."""
    limit = policy.lease_seconds + policy.idle_seconds + policy.grace_seconds
    return [
        m.sandbox_id for m in members if m.status is Status.READY and now - m.renewed_at >= limit
    ]

"""Decisions about the pool, as values: what to launch, which blank to take, whom to end."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sandbox.types import Resources


class Status(StrEnum):
    """Life of one sandbox; it only moves down this list."""

    LAUNCHING = "launching"  # the engine was told; its runner has not dialled yet
    BLANK = "blank"  # warm, without code
    STARTING = "starting"  # has code, not ready
    READY = "ready"  # takes calls
    STOPPING = "stopping"  # unroutable, on its way out


@dataclass(frozen=True, slots=True)
class Policy:
    """Bounds of the pool, all times in seconds."""

    blanks: int = 2
    maximum: int = 100
    idle_seconds: float = 600.0
    grace_seconds: float = 30.0  # a renewal may be on its way when the lease ends
    parallel_launches: int = 2


@dataclass(frozen=True, slots=True)
class Member:
    """One sandbox as decisions see it. `reserved`: somebody waits for it already."""

    sandbox_id: str
    status: Status
    resources: Resources
    reserved: bool
    renewed_at: float


def blanks_to_launch(members: Sequence[Member], policy: Policy) -> int:
    """How many blanks to launch now: at once, but never more than some at a time."""
    free = sum(1 for member in members if _is_free(member))
    launching = sum(1 for member in members if member.status is Status.LAUNCHING)
    return max(
        0,
        min(
            policy.blanks - free,
            policy.maximum - len(members),
            policy.parallel_launches - launching,
        ),
    )


def choose_blank(members: Iterable[Member], resources: Resources) -> str | None:
    """A free blank of this size; one still launching only when none is warm."""
    fitting = [m for m in members if _is_free(m) and m.resources == resources]
    fitting.sort(key=lambda member: member.status is not Status.BLANK)
    return fitting[0].sandbox_id if fitting else None


def has_room(members: Sequence[Member], policy: Policy) -> bool:
    """Whether one more may be launched."""
    return len(members) < policy.maximum


def choose_victim(members: Iterable[Member], policy: Policy, now: float) -> str | None:
    """Who makes room: the one whose lease ended longest ago, else a blank of the wrong size."""
    expired = [m for m in members if _lease_over(m, policy, now)]
    if expired:
        return min(expired, key=lambda member: member.renewed_at).sandbox_id
    free = [m for m in members if _is_free(m) and m.status is Status.BLANK]
    return free[0].sandbox_id if free else None


def to_expire(members: Iterable[Member], policy: Policy, now: float) -> list[str]:
    """Those nobody has renewed for their idle time and the grace."""
    limit = policy.idle_seconds + policy.grace_seconds
    return [
        m.sandbox_id for m in members if m.status is Status.READY and now - m.renewed_at >= limit
    ]


def _lease_over(member: Member, policy: Policy, now: float) -> bool:
    return member.status is Status.READY and now - member.renewed_at >= policy.idle_seconds


def _is_free(member: Member) -> bool:
    return member.status in (Status.LAUNCHING, Status.BLANK) and not member.reserved


@dataclass(frozen=True, slots=True)
class Crashes:
    """Recent bad ends of one spec; too many in a short time stop further starts for a while."""

    times: tuple[float, ...] = ()
    most: int = 5
    window: float = 10.0

    def add(self, now: float) -> "Crashes":
        """One more."""
        return Crashes((*self._recent(now), now)[-self.most :], self.most, self.window)

    def wait(self, now: float) -> float:
        """Seconds until the next start is allowed; 0 when it is now."""
        recent = self._recent(now)
        if len(recent) < self.most:
            return 0.0
        return recent[0] + self.window - now

    def is_over(self, now: float) -> bool:
        """Whether nothing of it matters any more."""
        return not self._recent(now)

    def _recent(self, now: float) -> tuple[float, ...]:
        return tuple(at for at in self.times if now - at < self.window)

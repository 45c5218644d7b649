"""Which isolation this installation offers; asking for more than that is an error at once."""

from gateway.operations.ports import Sandboxes
from gateway.operations.rehearse import TierUnavailableHereError, public_error
from sandbox.types import ManagerStatus, SandboxError, Tier


async def require_tier(sandboxes: Sandboxes, floor: Tier | None) -> None:
    """Refuse a tier that nothing on this machine reaches; None asks for nothing."""
    if floor is None:
        return
    try:
        status = await sandboxes.status()
    except SandboxError as error:
        raise public_error(error) from error
    offered = offered_tiers(status)
    if not any(tier.reaches(floor) for tier in offered):
        shown = ", ".join(offered) or "none"
        raise TierUnavailableHereError(f"{floor} was asked for; available here: {shown}")


def offered_tiers(status: ManagerStatus) -> list[Tier]:
    """Those a sandbox can be had in now, strongest first."""
    found = {each.tier for each in status.tiers if each.is_available}
    if not status.tiers:
        found = {status.tier}
    return [tier for tier in Tier if tier in found and tier is not Tier.NONE]

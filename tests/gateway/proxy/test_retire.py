"""What this gateway gives up, another one may still use."""

from collections.abc import Sequence

from gateway.proxy.retire import SharedKeeper
from sandbox.types import SandboxStatus


class Manager:
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.released: list[str] = []

    async def overdue(self, sandbox_id: str) -> None:
        """Not asked here."""

    async def sandboxes(self, api_id: str) -> Sequence[SandboxStatus]:
        """None."""
        return ()

    async def renew(self, sandbox_ids: Sequence[str]) -> dict[str, float]:
        """Ten seconds more."""
        return dict.fromkeys(sandbox_ids, 10.0)

    async def release(self, sandbox_id: str) -> None:
        """Noted."""
        self.released.append(sandbox_id)


async def test_a_sandbox_is_released_never_stopped_under_the_others() -> None:
    manager = Manager()
    keeper = SharedKeeper(manager)
    assert await keeper.renew(["box"]) == {"box": 10.0}
    await keeper.retire("box")
    assert manager.released == ["box"]

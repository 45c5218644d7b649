"""A fresh version that cannot run gives way to the one that served before it."""

import logging

from gateway.deadline import within
from gateway.errors import SandgateError
from gateway.operations.ports import Changes
from gateway.store import crash_loops
from gateway.store.database import Database
from sandbox.types import SandboxSpec

_log = logging.getLogger(__name__)

SECONDS = 3.0  # calls wait for it


class CrashLoops:
    """Called with each spec whose sandboxes keep crashing or do not start."""

    def __init__(self, database: Database, changes: Changes) -> None:
        self._database = database
        self._changes = changes

    async def __call__(self, spec: SandboxSpec, reason: str) -> bool:
        """Whether another version answers in its place now. Never raises: calls depend on it."""
        try:
            reverted = await within(
                SECONDS,
                crash_loops.revert(self._database, spec.api_id, spec.version_id, _storable(reason)),
            )
        except (SandgateError, TimeoutError) as error:
            _log.warning("version %s stays although it crashes: %r", spec.version_id, error)
            return False
        if reverted:
            _log.warning("version %s was taken back: %s", spec.version_id, _storable(reason))
            self._changes.publish("api", spec.api_id)
        return reverted


def _storable(reason: str) -> str:
    """User code may have written it: no NUL, nothing that is not text, not too long."""
    return reason.encode("utf-8", "replace").decode().replace("\0", "\ufffd")[:500]

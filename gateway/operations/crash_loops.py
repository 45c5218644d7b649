"""A fresh version that cannot run gives way to the one that served before it."""

import structlog

from gateway.deadline import within
from gateway.errors import SandgateError
from gateway.operations.ports import Changes
from gateway.store import crash_loops
from gateway.store.database import Database
from sandbox.types import USER_CODE, SandboxSpec

_log = structlog.get_logger(__name__)

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
            _log.warning("version_not_reverted", **spec.log_context(), error=repr(error))
            return False
        if reverted:
            why = _storable(reason)
            _log.warning("version_reverted", fault=USER_CODE, reason=why, **spec.log_context())
            self._changes.publish("api", spec.api_id)
        return reverted


def _storable(reason: str) -> str:
    """User code may have written it: no NUL, nothing that is not text, not too long."""
    return reason.encode("utf-8", "replace").decode().replace("\0", "\ufffd")[:500]

"""A file's own dependencies: read as data here, resolved and installed by the manager."""

import asyncio

from gateway.errors import InvalidInputError, SandgateError, UnavailableError
from gateway.operations.ports import Sandboxes
from gateway.operations.rehearse import clean, public_error
from sandbox.layers.script import ScriptError, read
from sandbox.types import Lock, ManagerUnavailableError, SandboxError

# above the manager's own deadlines, so that its reason is heard
LOCK_SECONDS = 200.0
_RETRY_SECONDS = 30


class DependenciesInvalidError(InvalidInputError):
    """The script block of the file is not one, or asks for more than names and versions."""

    code, title = "dependencies_invalid", "The stated dependencies are not valid"


class DependenciesTimeoutError(SandgateError):
    """Resolving and installing took too long."""

    status, code, title = 504, "dependencies_timeout", "Installing the dependencies took too long"


async def lock_of(sandboxes: Sandboxes, code: str) -> Lock | None:
    """What the file's dependencies come to; None when it needs nothing more than is there.

    May take minutes. Raises DependenciesInvalidError before the manager is asked.
    """
    requirements = _requirements(code)
    if not requirements:
        return None
    try:
        async with asyncio.timeout(LOCK_SECONDS):
            lock = await sandboxes.lock(requirements)
    except TimeoutError:
        raise DependenciesTimeoutError from None
    except ManagerUnavailableError as error:
        raise UnavailableError(
            "Dependencies cannot be installed at the moment", retry_after=_RETRY_SECONDS
        ) from error
    except SandboxError as error:
        raise public_error(error) from error
    return lock if lock.text else None


def _requirements(code: str) -> tuple[str, ...]:
    try:
        found = read(code)
    except ScriptError as error:
        reason = clean(error.reason)
        raise DependenciesInvalidError(
            f"app.py, line {error.line}: {reason}",
            extra={"failure": {"file": "app.py", "line": error.line, "reason": reason}},
        ) from error
    return found.requirements if found else ()

"""What an API wrote to its output."""

from gateway.auth.permissions import Operation
from gateway.operations import access
from gateway.operations.access import Known
from gateway.operations.audit import note_read
from gateway.operations.ports import Services
from gateway.operations.rehearse import clean, public_error
from sandbox.types import LogLine, SandboxError


async def read_logs(services: Services, subject: Known, ref: str, tail: int) -> list[LogLine]:
    """The last lines of the newest sandboxes, oldest first, the one that ended last included."""
    allowed = await access.require_api(services, subject, ref, Operation.READ_LOGS)
    await note_read(services, subject, allowed, "api.read_logs")
    try:
        lines = await services.sandboxes.logs(str(allowed.id), tail)
    except SandboxError as error:
        raise public_error(error) from error
    return [LogLine(line.at, clean(line.stream), clean(line.text)) for line in lines]

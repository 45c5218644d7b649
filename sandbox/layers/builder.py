"""What building a layer needs from the manager: a sandbox that is thrown away afterwards."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from sandbox.types import Resources

# Uncompressed packages lie in the sandbox's own /tmp, which counts as its memory.
BUILDER_RESOURCES = Resources(memory_mb=1280, cpus=2.0, pids=256, tmp_mb=1024)
# One call builds a whole layer: the budgets of ordinary calls do not fit it.
BUILDER_CALL_SECONDS = 180.0


class Builder(Protocol):
    """Starts a sandbox for our own builder code."""

    def throwaway(
        self,
        code: str,
        egress_hosts: tuple[str, ...],
        trusted: tuple[str, ...],
        environment: Mapping[str, str],
        resources: Resources,
        layer: Path | None,
    ) -> AbstractAsyncContextManager[Path]:
        """The socket of a ready sandbox that runs `code` and is gone when this ends.

        It has no API and no tenant, is never handed to anybody else, reaches `egress_hosts`
        (`host` or `host:port`) and nothing more, and finds `layer` as `/layer`. The `trusted`
        ones of these hosts were named by the operator: their addresses may be private. A call
        to it may take `BUILDER_CALL_SECONDS`, of processor time as well. Entering raises
        CapacityError, ManagerUnavailableError or StartFailedError.
        """
        ...

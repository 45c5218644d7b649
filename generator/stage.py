"""What the sandbox gate needs from outside: a throw-away sandbox. The platform gives it."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from generator.contract import Contract
from generator.types import GeneratorError


class StageUnavailableError(GeneratorError):
    """No sandbox can be had now; no fault of the code."""

    code = "sandboxes_unavailable"


class StartFailed(Exception):  # noqa: N818 - an outcome of the gate, never an error of ours
    """The code did not start; all texts come from the sandbox and are hostile.

    `kind` is one of the platform's names: syntax_error, no_app, import_error, exception,
    lifespan, deadline, memory, exited, dependencies.
    """

    def __init__(self, kind: str, reason: str, *, line: int | None = None, log: str = "") -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.line = line  # in the whole file
        self.log = log


class Running(Protocol):
    """A sandbox in which the candidate answers HTTP/1.1 on a Unix socket. Its bytes are hostile."""

    @property
    def socket_path(self) -> str:
        """Where it answers."""
        ...

    async def document(self) -> str:
        """The OpenAPI document that the app made of itself, as text; empty when it has none."""
        ...

    async def log(self) -> Sequence[str]:
        """The last lines it wrote."""
        ...


class Stage(Protocol):
    """Starts candidates; a platform may run several at a time."""

    def running(self, code: str, contract: Contract) -> AbstractAsyncContextManager[Running]:
        """The candidate in a sandbox of its own, gone afterwards with all it stored.

        It may reach the contract's outbound hosts and no others. Raises StartFailed or
        StageUnavailableError on entering.
        """
        ...

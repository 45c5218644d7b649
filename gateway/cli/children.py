"""One child process: how it is started so that it can never outlive its starter."""

import asyncio
import ctypes
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)

# The manager and its runtimes need these and nothing else of our environment; above all
# they never see a database address or a secret.
MANAGER_ENVIRONMENT = (
    "PATH",
    "HOME",
    "LANG",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "DOCKER_HOST",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
    "DOCKER_API_VERSION",
    "SSL_CERT_FILE",  # whom builders of layers trust
)

# Where the certificates of the outside are found; nothing else.
DOOR_ENVIRONMENT = ("PATH", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. `environment` names the variables that are passed on, None all but `hidden`."""

    name: str
    arguments: Sequence[str]
    log_file: Path
    pass_fds: Sequence[int] = ()
    environment: Sequence[str] | None = None
    hidden: Sequence[str] = ()
    stop_seconds: float = 15.0
    extra: Mapping[str, str] = field(default_factory=dict)
    become: Callable[[], None] | None = None  # in the child, before exec: who it is from then on


def environment_of(program: Program) -> dict[str, str]:
    """The child's environment: a chosen part of ours plus what the program adds."""
    names = os.environ if program.environment is None else program.environment
    passed = {name for name in names if name in os.environ} - set(program.hidden)
    return {name: os.environ[name] for name in passed} | dict(program.extra)


def _die_with(parent: int, become: Callable[[], None] | None) -> Callable[[], None]:
    """Runs in the child before exec: the kernel ends it when the supervisor's main thread dies.

    Who it is comes first, because the kernel forgets that wish when a process changes its user.
    """

    def before_exec() -> None:
        if become is not None:
            become()
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # the parent died between fork and prctl
            os._exit(1)

    return before_exec


async def start(program: Program) -> asyncio.subprocess.Process:
    """Start it in a session of its own, so that Ctrl-C in the terminal reaches only us."""
    with program.log_file.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *program.arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment_of(program),
            pass_fds=tuple(program.pass_fds),
            start_new_session=True,
            preexec_fn=_die_with(os.getpid(), program.become),
            cwd="/",
        )


async def stop(process: asyncio.subprocess.Process, seconds: float) -> None:
    """Ask, wait, then end it. Returns when it is gone."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):  # it ended just now
            process.kill()
        await process.wait()

"""Runs a checking tool as a child process: text in, text out, bounded in time, gone afterwards."""

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

SECONDS = 10.0
_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}


class ToolError(Exception):
    """The tool did not do its work; nothing can be said of the code."""


async def run(
    command: Sequence[str], text: str, *, fine: frozenset[int], seconds: float = SECONDS
) -> str:
    """What the tool prints. `fine` are the exit codes that mean it did its work."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=_ENVIRONMENT,
            cwd="/",
        )
    except OSError as error:
        raise ToolError(f"could not be started: {error.strerror}") from None
    try:
        async with asyncio.timeout(seconds):
            printed, _ = await process.communicate(text.encode())
    except TimeoutError:
        raise ToolError(f"took longer than {seconds:g} s") from None
    finally:
        await _end(process)
    if process.returncode not in fine:
        raise ToolError(f"ended with {process.returncode}")
    return printed.decode("utf-8", "replace")


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.shield(process.wait())


def ruff_program() -> list[str]:
    """The program beside our interpreter; through the interpreter where it is elsewhere."""
    program = Path(sys.executable).with_name("ruff")
    return [str(program)] if program.is_file() else [sys.executable, "-I", "-m", "ruff"]


def bandit_program() -> list[str]:
    """A module, always run by our interpreter and apart from the user's own."""
    return [sys.executable, "-I", "-m", "bandit"]

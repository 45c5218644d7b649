"""`sandgate door`: the egress door alone, for an installation whose parts run separately."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from gateway.cli.children import DOOR_ENVIRONMENT, Program, environment_of
from gateway.cli.serve import door_arguments
from gateway.reporting import report_environment
from gateway.settings import Settings
from sandbox.paths import runtime_dir


def run_door(settings: Settings, run_dir: Path | None, client_uids: Sequence[int]) -> NoReturn:
    """Become the door: nothing of this process, least of all its secrets, is left in it."""
    arguments = (
        *door_arguments(settings, run_dir or runtime_dir(settings.data_dir)),
        *(word for uid in client_uids for word in ("--client-uid", str(uid))),
    )
    program = Program(
        "door",
        arguments,
        Path(os.devnull),
        environment=DOOR_ENVIRONMENT,
        extra=report_environment(settings),
    )
    os.execve(arguments[0], arguments, environment_of(program))  # noqa: S606 - a list, no shell

"""`sandgate manager`: the manager alone, for an installation whose parts run separately."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from gateway.cli.children import MANAGER_ENVIRONMENT, Program, environment_of
from gateway.cli.files import make_data_dir
from gateway.cli.serve import manager_arguments
from gateway.reporting import report_environment
from gateway.settings import Settings
from sandbox.paths import runtime_dir


def run_manager(settings: Settings, run_dir: Path | None, client_uids: Sequence[int]) -> NoReturn:
    """Become the manager: nothing of this process, least of all its secrets, is left in it."""
    make_data_dir(settings.data_dir)
    arguments = (
        *manager_arguments(settings, run_dir or runtime_dir(settings.data_dir)),
        *(word for uid in client_uids for word in ("--client-uid", str(uid))),
    )
    program = Program(
        "manager",
        arguments,
        Path(os.devnull),
        environment=MANAGER_ENVIRONMENT,
        extra=report_environment(settings),
    )
    os.execve(arguments[0], arguments, environment_of(program))  # noqa: S606 - a list, no shell

"""The manager's whole configuration: argv to one frozen value. It reads no environment."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.pool import Policy

RUNTIMES = ("auto", "docker", "bubblewrap", "fake")


@dataclass(frozen=True, slots=True)
class ManagerSettings:
    """One manager. `installation` marks every sandbox as ours."""

    data_dir: Path
    run_dir: Path
    installation: str
    runtime: str = "auto"
    base_image: str = "scratch"
    policy: Policy = field(default_factory=Policy)
    start_seconds: float = 10.0
    launch_seconds: float = 30.0


def parse(arguments: Sequence[str] | None = None) -> ManagerSettings:
    """Settings from the command line; ends the process with a message when they are wrong."""
    parser = argparse.ArgumentParser(prog="sandbox.server", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--installation", type=_label, required=True)
    parser.add_argument("--runtime", choices=RUNTIMES, default="auto")
    parser.add_argument("--base-image", default="scratch")
    parser.add_argument("--blanks", type=_count, default=2)
    parser.add_argument("--max", type=_count, default=100)
    parser.add_argument("--idle-seconds", type=_seconds, default=600.0)
    parser.add_argument("--start-seconds", type=_seconds, default=10.0)
    given = parser.parse_args(arguments)
    if given.max < 1:
        parser.error("--max must be at least 1")
    return ManagerSettings(
        data_dir=given.data_dir.resolve(),
        run_dir=given.run_dir.resolve(),
        installation=given.installation,
        runtime=given.runtime,
        base_image=given.base_image,
        policy=Policy(blanks=given.blanks, maximum=given.max, idle_seconds=given.idle_seconds),
        start_seconds=given.start_seconds,
    )


def _label(text: str) -> str:
    if not text or len(text) > 64 or not all(c.isalnum() or c in "-_." for c in text):
        raise argparse.ArgumentTypeError("1 to 64 letters, digits, '-', '_' or '.'")
    return text


def _count(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 10_000:
        raise argparse.ArgumentTypeError("must be between 0 and 10000")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 86_400 * 365:
        raise argparse.ArgumentTypeError("must be a positive number of seconds")
    return value

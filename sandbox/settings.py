"""The manager's whole configuration: argv to one frozen value. It reads no environment."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.pool import Policy
from sandbox.types import Tier

INDEX_URL = "https://pypi.org/simple"
RUNTIMES = ("auto", "docker", "gvisor", "bubblewrap", "fake")


@dataclass(frozen=True, slots=True)
class Packages:
    """Which dependencies user code may ask for. No names allowed means all are."""

    index_url: str = INDEX_URL
    cooldown_days: int = 7
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


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
    client_uids: tuple[int, ...] = ()  # who may connect beside ourselves
    tier_floor: Tier | None = None
    life_seconds: float = 86_400.0
    call_cpu_seconds: float = 15.0
    packages: Packages = Packages()
    overdue_seconds: float = 3.0  # from a call's deadline to a look at its sandbox
    probe_seconds: float = 2.0


def parse(arguments: Sequence[str] | None = None) -> ManagerSettings:
    """Settings from the command line; ends the process with a message when they are wrong."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.max < 1:
        parser.error("--max must be at least 1")
    if given.tenant_max < 1:
        parser.error("--tenant-max must be at least 1")
    return ManagerSettings(
        data_dir=given.data_dir.resolve(),
        run_dir=given.run_dir.resolve(),
        installation=given.installation,
        runtime=given.runtime,
        base_image=given.base_image,
        policy=Policy(
            blanks=given.blanks,
            maximum=given.max,
            lease_seconds=given.lease_seconds,
            idle_seconds=given.idle_seconds,
            tenant_max=given.tenant_max,
        ),
        start_seconds=given.start_seconds,
        client_uids=tuple(given.client_uid),
        tier_floor=given.tier_floor,
        life_seconds=given.life_seconds,
        call_cpu_seconds=given.call_cpu_seconds,
        packages=Packages(
            index_url=given.index_url,
            cooldown_days=given.cooldown_days,
            allow=given.package_allow,
            deny=given.package_deny,
        ),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sandbox.server", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--installation", type=_label, required=True)
    parser.add_argument("--client-uid", type=_uid, action="append", default=[])
    parser.add_argument("--runtime", choices=RUNTIMES, default="auto")
    parser.add_argument("--base-image", default="scratch")
    parser.add_argument("--tier-floor", type=_floor, default=None)
    parser.add_argument("--blanks", type=_count, default=2)
    parser.add_argument("--max", type=_count, default=100)
    parser.add_argument("--tenant-max", type=_count, default=50)
    parser.add_argument("--lease-seconds", type=_seconds, default=10.0)
    parser.add_argument("--idle-seconds", type=_seconds, default=600.0)
    parser.add_argument("--start-seconds", type=_seconds, default=10.0)
    parser.add_argument("--life-seconds", type=_seconds, default=86_400.0)
    parser.add_argument("--call-cpu-seconds", type=_seconds, default=15.0)
    parser.add_argument("--index-url", default=INDEX_URL)
    parser.add_argument("--cooldown-days", type=_count, default=7)
    parser.add_argument("--package-allow", type=_names, default=())
    parser.add_argument("--package-deny", type=_names, default=())
    return parser


def _label(text: str) -> str:
    if not text or len(text) > 64 or not all(c.isalnum() or c in "-_." for c in text):
        raise argparse.ArgumentTypeError("1 to 64 letters, digits, '-', '_' or '.'")
    return text


def _uid(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**32 - 1:
        raise argparse.ArgumentTypeError("must be the number of a user")
    return value


def _floor(text: str) -> Tier | None:
    """`none` asks for nothing."""
    try:
        tier = Tier(text or "none")
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(Tier)}") from None
    return None if tier is Tier.NONE else tier


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


def _names(text: str) -> tuple[str, ...]:
    """Names apart by commas or spaces."""
    return tuple(text.replace(",", " ").split())

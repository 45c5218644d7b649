"""The door's process: takes sandboxes from the manager at one private socket until SIGTERM."""

import argparse
import asyncio
import os
import resource
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dns.nameserver
import structlog

from sandbox import log
from sandbox.egress.continuity import authority_at, write_whole
from sandbox.egress.dialling import Dialler
from sandbox.egress.door import Door
from sandbox.egress.hosts import BadHostError
from sandbox.egress.limits import Limits
from sandbox.egress.resolve import Resolver, nameservers
from sandbox.outlet_server import serving_outlet
from sandbox.paths import RunPaths, UnsafeDirectoryError, make_private

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """One door. `client_uids` are the users whose manager it listens to."""

    run_dir: Path
    nameservers: tuple[dns.nameserver.Nameserver, ...]
    client_uids: frozenset[int]
    limits: Limits


def parse(arguments: Sequence[str] | None = None) -> DoorSettings:
    """Settings from the command line; ends the process with a message when they are wrong."""
    parser = argparse.ArgumentParser(prog="sandbox.egress.server", description=__doc__)
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--nameserver", action="append", default=[], help="the host's when none")
    parser.add_argument("--client-uid", type=int, action="append", default=[], help="default: ours")
    parser.add_argument("--connection-seconds", type=_positive, default=300.0)
    parser.add_argument("--bytes", type=_count, default=100 * 1024 * 1024, help="per connection")
    given = parser.parse_args(arguments)
    try:
        servers = nameservers(given.nameserver)
    except (BadHostError, ValueError) as error:
        parser.error(f"--nameserver: {error}")
    return DoorSettings(
        run_dir=given.run_dir.resolve(),
        nameservers=tuple(servers),
        client_uids=frozenset(given.client_uid or [os.geteuid()]),
        limits=Limits(connection_seconds=given.connection_seconds, connection_bytes=given.bytes),
    )


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value <= 86_400:
        raise argparse.ArgumentTypeError("must be a positive number of seconds")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


async def serve(settings: DoorSettings) -> None:
    """Until SIGTERM or SIGINT; then every connection is closed."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    paths = RunPaths(settings.run_dir)
    make_private(paths.door_socket.parent)
    authority = authority_at(paths.door_key)
    resolver = Resolver(settings.nameservers, settings.limits.resolve_seconds)
    door = Door(settings.limits, Dialler(resolver, settings.limits), authority)
    write_whole(paths.door_ca, authority.certificate.encode(), 0o644)
    try:
        async with serving_outlet(paths.door_socket, door, settings.client_uids):
            _log.info("door_open", nameservers=[str(one) for one in settings.nameservers])
            await stop.wait()
            is_last = not door.serves_any  # else the next door has to be the same one to them
    finally:
        await door.close()
    if is_last:
        for path in (paths.door_ca, paths.door_key):
            path.unlink(missing_ok=True)


def _all_descriptors() -> None:
    """Each connection takes two, each sandbox one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> int:
    """Entry of `python -m sandbox.egress.server`."""
    settings = parse()
    _all_descriptors()
    try:
        with log.configure("door"):
            asyncio.run(serve(settings))
    except (OSError, UnsafeDirectoryError) as error:
        _log.error("cannot_start", reason=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The numbers of all gateways of this machine, whichever of them is asked.

Each serves its own over a private socket in the run directory. The one that is asked adds the
others', told apart by a label: counters of a gateway that was restarted begin anew, and a sum
over them would tell Prometheus of calls that were never made.
"""

import asyncio
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from gateway.metrics import Metrics
from gateway.server.succession import SUFFIX

ASK_SECONDS = 1.0
MAX_BYTES = 4 * 1024 * 1024

_log = structlog.get_logger(__name__)

Numbers = dict[str, Any]  # JSON: name, calls by class of status, metric families


class Peers:
    """This gateway's socket, and the way to the others'. Use as an async context manager."""

    def __init__(self, folder: Path, name: str, metrics: Metrics, *, workers: int = 1) -> None:
        self._folder = folder
        self._name = name
        self._metrics = metrics
        self._workers = workers
        self._path = folder / f"{os.getpid()}.sock"
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """From here on the supervisor takes this gateway for ready."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        remove_dead(self._folder)
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._tell, self._path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._path.unlink(missing_ok=True)
        if self._server is not None:
            self._server.close()

    async def totals(self) -> dict[str, int]:
        """Calls of all gateways since each of them started, by class of status."""
        sums: dict[str, int] = {}
        for one in [self._own(), *await self._others()]:
            for name, count in one["calls"].items():
                sums[name] = sums.get(name, 0) + int(count)
        return sums

    async def render(self) -> bytes:
        """Every gateway's numbers in the text format, with a label that names it."""
        if self._workers == 1:
            return self._metrics.render()
        registry = CollectorRegistry()
        registry.register(_Merged([self._own(), *await self._others()]))
        return generate_latest(registry) + self._metrics.render_shared()

    def _own(self) -> Numbers:
        families = [
            {
                "name": metric.name,
                "type": metric.type,
                "documentation": metric.documentation,
                "samples": [[each.name, each.labels, each.value] for each in metric.samples],
            }
            for metric in self._metrics.own()
        ]
        return {"name": self._name, "calls": self._metrics.totals(), "families": families}

    async def _tell(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(json.dumps(self._own()).encode())
            await writer.drain()
        except OSError:
            pass  # who asked has left
        finally:
            writer.close()

    async def _others(self) -> list[Numbers]:
        paths = [path for path in sorted(self._folder.glob("*.sock")) if path != self._path]
        told = await asyncio.gather(*(_ask(path) for path in paths))
        return [one for one in told if one is not None]


async def _ask(path: Path) -> Numbers | None:
    """What another gateway tells; None when it is gone or does not answer."""
    try:
        async with asyncio.timeout(ASK_SECONDS):
            reader, writer = await asyncio.open_unix_connection(path, limit=MAX_BYTES)
            try:
                numbers: Numbers = json.loads(await reader.read(-1))
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError) as error:
        _log.warning("a_gateway_did_not_tell_its_numbers", socket=path.name, reason=repr(error))
        return None
    return numbers


def remove_dead(folder: Path) -> None:
    """What processes have left that were killed: sockets, and word that they wait."""
    for path in (*folder.glob("*.sock"), *folder.glob(f"*{SUFFIX}")):
        with suppress(ValueError, FileNotFoundError):
            if not Path(f"/proc/{int(path.stem)}").exists():
                path.unlink()


class _Merged(Collector):
    """Families of several gateways as one; each sample says whose it is."""

    def __init__(self, told: Sequence[Numbers]) -> None:
        self._told = told

    def collect(self) -> Iterator[Metric]:
        """Called while the text is made."""
        found: dict[str, Metric] = {}
        for one in self._told:
            for family in one["families"]:
                metric = found.get(family["name"])
                if metric is None:
                    metric = found[family["name"]] = Metric(
                        family["name"], family["documentation"], family["type"]
                    )
                _add(metric, one["name"], family["samples"])
        yield from found.values()


def _add(metric: Metric, worker: str, samples: Iterable[Sequence[Any]]) -> None:
    for name, labels, value in samples:
        metric.add_sample(name, {**labels, "worker": worker}, value)

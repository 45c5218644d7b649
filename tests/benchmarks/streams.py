"""A gigabyte each way through the gateway and through nginx: how fast, and what memory grew."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median

from tests.benchmarks import apps
from tests.benchmarks.peers import PEERS, Setting
from tests.benchmarks.processes import family, rss_mb
from tests.benchmarks.rig import Rig, gateway_pids
from tests.benchmarks.table import Bar, Report, Row

_PIECE = 1 << 16
_LONG = {"CALL_BODY_BYTES": str(1 << 33), "CALL_CPU_SECONDS": "3600",
         "CALL_DEADLINE_SECONDS": "600"}  # fmt: skip


@dataclass(slots=True)
class Way:
    """One proxy, and what was measured."""

    name: str
    port: int
    path: str
    key: str
    pids: list[int]
    rates: dict[str, list[float]] = field(default_factory=dict)
    grown: dict[str, list[float]] = field(default_factory=dict)


def measure(rig: Rig, report: Report) -> None:
    """Up and down in turns."""
    size = rig.sizes["megabytes"] * 1_000_000
    with ExitStack() as stack:
        made = stack.enter_context(rig.ours(**_LONG))
        deployed = rig.deploy(made, "streams", apps.STREAMING)
        rig.pin(made)
        port, path, key = deployed.port, deployed.path, deployed.key
        ways = [Way("Sandgate", port, path, key, gateway_pids(made))]
        reason = PEERS["nginx"].missing(rig.folder) if "nginx" in rig.peers else "not asked for"
        if reason:
            report.note(f"streams through nginx: {reason}")
        else:
            redis = stack.enter_context(rig.redis())
            setting = Setting(deployed.unix, key, redis, rig.folder)
            nginx_port, pid = stack.enter_context(PEERS["nginx"].running(setting))
            rig.cores.proxy(family(pid))
            ways.append(Way("nginx + lua", nginx_port, path, key, family(pid)))
        for _ in range(min(rig.rounds, 2)):
            for direction, transfer in (("down", down), ("up", up)):
                for way in ways:
                    _one(way, direction, transfer, size)
    show(report, ways, rig.sizes["megabytes"])


def _one(way: Way, direction: str, transfer: Callable[[Way, int], None], size: int) -> None:
    transfer(way, 10_000_000)  # buffers are there
    with highest_rss(way.pids) as grown:
        begin = time.perf_counter()
        transfer(way, size)
        took = time.perf_counter() - begin
    way.rates.setdefault(direction, []).append(size / took / 1e6)
    way.grown.setdefault(direction, []).append(grown())


def show(report: Report, ways: list[Way], megabytes: int) -> None:
    """Rows and bars."""
    for direction in ("down", "up"):
        section = f"{megabytes} MB {direction}"
        for way in ways:
            grown = round(max(way.grown[direction]), 1)
            rate = round(median(way.rates[direction]), 1)
            report.add(Row(section, way.name, {"MB/s": rate, "MB grown": grown}))
        ours = ways[0]
        report.judge(Bar(f"memory grown, {section}, MB", max(ours.grown[direction]), 20))
        if len(ways) > 1:
            ratio = median(ours.rates[direction]) / median(ways[1].rates[direction])
            report.judge(Bar(f"MB/s over nginx's, {section}", ratio, 0.5, at_most=False))


@contextmanager
def highest_rss(pids: list[int]) -> Iterator[Callable[[], float]]:
    """Yields what tells by how many MB these grew at their highest."""
    before, highest, stop = rss_mb(pids), [0.0], threading.Event()

    def look() -> None:
        while not stop.wait(0.02):
            highest[0] = max(highest[0], rss_mb(pids))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield lambda: max(0.0, highest[0] - before)
    finally:
        stop.set()
        thread.join()


def down(way: Way, size: int) -> None:
    """Fetch so many bytes."""
    with _open(way, f"GET {way.path}?{size} HTTP/1.1", "") as connection:
        buffer = bytearray(_PIECE * 4)
        head = _head(connection)
        left = size - len(head)
        while left:
            received = connection.recv_into(buffer)
            if not received:
                raise RuntimeError(f"{way.name}: ended {left} bytes early")
            left -= received


def up(way: Way, size: int) -> None:
    """Send so many bytes; the app counts them."""
    with _open(way, f"POST {way.path} HTTP/1.1", f"Content-Length: {size}\r\n") as connection:
        piece, left = b"s" * _PIECE, size
        while left:
            part = piece[:left]
            connection.sendall(part)
            left -= len(part)
        told = _head(connection) or connection.recv(_PIECE)
        if int(told) != size:
            raise RuntimeError(f"{way.name}: {told!r} bytes arrived")


def _open(way: Way, first: str, more: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", way.port), timeout=120)
    head = f"{first}\r\nHost: bench\r\nX-API-Key: {way.key}\r\n{more}Connection: close\r\n\r\n"
    connection.sendall(head.encode())
    return connection


def _head(connection: socket.socket) -> bytes:
    """Read the answer's head; what came of the body with it is returned."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(_PIECE)
        if not piece:
            raise RuntimeError(f"ended in the head: {data!r}")
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"answered {head[:200]!r} {rest[:300]!r}")
    return rest

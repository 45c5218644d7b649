"""Whichever gateway is asked, the numbers of all of them are told."""

import asyncio
from pathlib import Path

import pytest

from gateway.control.peers import Peers, remove_dead
from gateway.metrics import Metrics

GONE = 2**22 + 1  # above the largest process id there can be


class Other(Peers):
    """In the same process, so under another name than its process id."""

    def __init__(self, folder: Path, metrics: Metrics) -> None:
        super().__init__(folder, "gateway-2", metrics, workers=2)
        self._path = folder / "1.sock"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "gateways"


async def test_each_counts_under_its_own_name(folder: Path) -> None:
    mine, theirs = Metrics(), Metrics()
    mine.call(200, "answered", 0.01)
    for _ in range(2):
        theirs.call(200, "answered", 0.01)
        theirs.call(404, "rejected", 0.01)
    async with Other(folder, theirs), Peers(folder, "gateway-1", mine, workers=2) as peers:
        text = (await peers.render()).decode()
        assert await peers.totals() == {"2xx": 3, "4xx": 2}
    name = 'sandgate_calls_total{outcome="answered",status_class="2xx",worker="gateway-%d"} %d.0'
    assert name % (1, 1) in text
    assert name % (2, 2) in text
    assert text.count("# TYPE sandgate_calls_total counter") == 1
    assert text.count("# TYPE sandgate_call_seconds histogram") == 1
    assert text.count("sandgate_manager_up ") == 3  # help, type and the one value


async def test_a_single_gateway_tells_what_it_always_did(folder: Path) -> None:
    metrics = Metrics()
    metrics.call(200, "answered", 0.01)
    async with Peers(folder, "gateway", metrics) as peers:
        assert await peers.render() == metrics.render()


async def test_one_that_hangs_or_is_gone_keeps_nobody_waiting(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.control.peers.ASK_SECONDS", 0.05)
    async with Peers(folder, "gateway-1", Metrics(), workers=2) as peers:
        hung: list[asyncio.StreamWriter] = []
        server = await asyncio.start_unix_server(
            lambda _reader, writer: hung.append(writer), folder / "1.sock"
        )
        (folder / "2.sock").touch()
        assert await peers.totals() == {}
        assert len(hung) == 1
        hung[0].close()
        await hung[0].wait_closed()
        server.close()


def test_sockets_of_the_dead_are_removed(tmp_path: Path) -> None:
    for name in (f"{GONE}.sock", "1.sock", "else.sock"):
        (tmp_path / name).touch()
    remove_dead(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.sock", "else.sock"]


async def test_its_socket_is_there_only_while_it_takes_calls(folder: Path) -> None:
    async with Peers(folder, "gateway", Metrics()) as peers:
        assert peers._path.exists()
    assert not peers._path.exists()

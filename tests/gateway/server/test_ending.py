"""A gateway that ends waits for every call that may still be answered."""

from pathlib import Path

from gateway.cli.gateways import gateways
from gateway.cli.identity import Identities
from gateway.cli.listener import open_listener
from gateway.server.ending import LEAST_SECONDS, drain_seconds
from gateway.settings import Settings


def test_a_drain_outlasts_the_longest_call() -> None:
    assert drain_seconds(30) > 30
    assert drain_seconds(0.1) == LEAST_SECONDS


def test_nobody_is_killed_while_it_drains(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    settings = Settings(
        sandgate_data_dir=tmp_path, drain_notice_seconds=7, call_deadline_seconds=30
    )
    with open_listener("127.0.0.1", 0) as listener:
        (only,) = gateways(settings, tmp_path, listener, Identities())
    assert only._program.stop_seconds > 7 + drain_seconds(30)

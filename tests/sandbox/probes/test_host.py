"""Trying to escape on this very machine: a report for each tier, and nothing left of it."""

import os
import tempfile
from pathlib import Path

import docker.errors
import pytest

from sandbox.probes import host
from sandbox.probes.cell import CellError
from sandbox.probes.host import examine_host
from sandbox.probes.judge import Verdict
from sandbox.runtimes import image_list
from sandbox.runtimes.base import RuntimeUnavailableError
from sandbox.runtimes.fake import FakeRuntime
from sandbox.types import Tier
from tests.support.engines import require_bubblewrap

LOOKED_AT = 11  # a row without hogs


@pytest.mark.bubblewrap
@pytest.mark.timeout(300)
async def test_every_tier_has_a_report_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_bubblewrap()
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    folders = set(Path("/tmp").glob("sge-*"))
    told: list[str] = []
    reports = await examine_host(tmp_path, "scratch", told.append, hogs=("forks",))
    assert [report.tier for report in reports] == [Tier.VM, Tier.GVISOR, Tier.RUNC, Tier.BWRAP]
    tried = [report for report in reports if not report.trouble]
    assert Tier.BWRAP in [report.tier for report in tried]
    for report in tried:
        assert report.rows[LOOKED_AT].verdict is Verdict.HELD, report.rows[LOOKED_AT].detail
    assert any(what.endswith("forks") for what in told)
    assert set(Path("/tmp").glob("sge-*")) <= folders
    assert os.listdir(tmp_path) == []


def test_without_an_engine_there_are_no_images(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_engine(*_: object) -> None:
        raise docker.errors.DockerException("no engine")

    monkeypatch.setattr(image_list, "make_client", no_engine)
    assert image_list.runner_images() == frozenset()
    image_list.remove_images_but(())


class Broken(FakeRuntime):
    """A runtime that cannot be had here."""

    async def prepare(self) -> None:
        raise RuntimeUnavailableError("install it")


async def test_what_cannot_be_had_is_said_and_not_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "_runtimes", lambda *_: (Broken(),))
    reports = await examine_host(tmp_path, "scratch", lambda _: None)
    assert [report.trouble for report in reports] == [host.NO_VM, "install it"]


async def test_what_does_not_start_is_said_and_not_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object, **__: object) -> None:
        raise CellError("it did not start")

    monkeypatch.setattr(host, "_runtimes", lambda *_: (FakeRuntime(),))
    monkeypatch.setattr(host, "examine", never)
    (_, report) = await examine_host(tmp_path, "scratch", lambda _: None)
    assert report.trouble == "it could not be tried: it did not start"

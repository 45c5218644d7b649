"""The sandbox gate over a real sandbox."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from generator.contract import Contract
from generator.fuzz import Fuzzer
from generator.rehearse import rehearse
from generator.stage import StartFailed
from sandbox.client import ManagerClient
from sandbox.types import Bundle, Lease, StartFailedError
from tests.benchmarks.manager_under_test import new_spec, under_test
from tests.generator.test_rehearse import GOOD, OFFSET
from tests.support.engines import require
from tests.support.gate_contracts import contract

pytestmark = [pytest.mark.slow, pytest.mark.bubblewrap]


class Sandboxed:
    """A candidate in a sandbox."""

    def __init__(self, client: ManagerClient, lease: Lease, api_id: str) -> None:
        self._client = client
        self._lease = lease
        self._api_id = api_id

    @property
    def socket_path(self) -> str:
        """Where it answers."""
        return self._lease.socket_path

    async def document(self) -> str:
        """As the runner asked the app for it."""
        return (await self._client.document(self._lease.sandbox_id)).text

    async def log(self) -> Sequence[str]:
        """Its last lines."""
        return [line.text for line in await self._client.logs(self._api_id)]


class SandboxStage:
    """Candidates in sandboxes of one manager."""

    def __init__(self, client: ManagerClient) -> None:
        self._client = client

    @asynccontextmanager
    async def running(self, code: str, contract: Contract) -> AsyncIterator[Sandboxed]:
        """In a sandbox of its own."""
        spec = new_spec()
        try:
            lease = await self._client.acquire(spec, Bundle(code))
        except StartFailedError as error:
            raise StartFailed(error.kind, str(error), line=error.line, log=error.log) from error
        try:
            yield Sandboxed(self._client, lease, spec.api_id)
        finally:
            await self._client.stop_api(spec.api_id)


async def test_the_gate_in_a_real_sandbox(tmp_path: Path) -> None:
    """Good code passes with generated calls, an error is found, what does not start is said."""
    require("bubblewrap")
    async with under_test("bubblewrap", tmp_path) as manager, Fuzzer() as fuzzer:
        stage = SandboxStage(manager.client)
        findings, report = await rehearse(stage, contract(), GOOD, OFFSET, fuzzer)
        assert findings == ()
        assert report.passed == len(report.cases) > 100
        bad = GOOD.replace("return kept[note_id]", "return kept[1]")
        found, _ = await rehearse(stage, contract(), bad, OFFSET)
        assert {one.rule for one in found if one.operation == "read_note"} >= {"example_failed"}
        assert any("KeyError: 1" in one.detail and one.line for one in found)
        broken, _ = await rehearse(stage, contract(), "def broken(:\n", OFFSET)
        assert [one.rule for one in broken] == ["start_syntax_error"]

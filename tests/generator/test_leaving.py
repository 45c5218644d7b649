"""A job with real parts that is left in its middle leaves no process and no task."""

import asyncio
from contextlib import aclosing

import psutil
import pytest

from generator.gates import GATES
from generator.loop import run
from generator.parts import Parts
from generator.types import EventKind
from tests.support.scenarios import table
from tests.support.scenarios.playing import speaking
from tests.support.trusted_stage import TrustedStage

pytestmark = pytest.mark.slow
SERVERS = ("multiprocessing.forkserver", "multiprocessing.resource_tracker")  # the stage's own


def children() -> list[str]:
    """Of this process alone: installations that other tests left running have their own."""
    lines = [" ".join(one.cmdline()) for one in psutil.Process().children()]
    return [line for line in lines if not any(name in line for name in SERVERS)]


@pytest.mark.parametrize("kind", [EventKind.CONTRACT, EventKind.WRITTEN, EventKind.REPAIR])
async def test_closing_it_leaves_nothing(kind: EventKind) -> None:
    scenario = next(one for one in table.ALL if one.name == "server_error")
    before, tasks = children(), len(asyncio.all_tasks())
    async with (
        speaking(scenario) as (model, _),
        aclosing(run(scenario.wish, Parts(model, TrustedStage(), GATES))) as events,
    ):
        async for event in events:
            if event.kind is kind:
                assert len(children()) > len(before)
                break
    assert (children(), len(asyncio.all_tasks())) == (before, tasks)

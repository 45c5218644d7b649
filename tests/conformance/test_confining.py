"""Which processors a sandbox runs on is ours to say, on every runtime."""

import os
from pathlib import Path

from sandbox.runtimes.base import Handle, Runtime
from sandbox.runtimes.bubblewrap import BubblewrapHandle
from sandbox.runtimes.docker_handle import DockerHandle
from sandbox.runtimes.fake import FakeRuntime
from tests.support.blanks import launched

WANTS_MORE = """
import os
from fastapi import FastAPI
app = FastAPI()
@app.get("/")
def more():
    if os.fork() == 0:
        while True:
            pass
    try:
        os.sched_setaffinity(0, range(os.cpu_count()))
    except OSError as error:
        return type(error).__name__
    return "allowed"
"""


async def processors_of(handle: Handle) -> set[frozenset[int]]:
    """Of each of its threads, as the host sees them."""
    if isinstance(handle, BubblewrapHandle):
        group = handle._group
    else:
        assert isinstance(handle, DockerHandle)
        group = await handle._own_group()
    assert group is not None
    return {frozenset(os.sched_getaffinity(thread)) for thread in group._threads()}


async def test_it_stays_where_it_is_kept_with_all_it_starts_and_whatever_it_asks_for(
    runtime: Runtime, folder: Path, installation: str
) -> None:
    kept_to = frozenset({max(os.sched_getaffinity(0))})
    async with launched(runtime, folder, installation) as blank:
        await blank.specialise(WANTS_MORE)
        await blank.handle.confine(kept_to)
        if isinstance(runtime, FakeRuntime):
            assert runtime.cores_of(blank.handle.sandbox_id) == kept_to
            return
        said = (await blank.get()).json()
        assert await processors_of(blank.handle) == {kept_to}
        assert said == "PermissionError" or runtime.name == "gvisor"  # there it moves nothing


async def test_it_is_known_how_often_it_used_up_its_share(
    runtime: Runtime, folder: Path, installation: str
) -> None:
    async with launched(runtime, folder, installation) as blank:
        share = await blank.handle.throttling()
        if not isinstance(runtime, FakeRuntime):
            assert share is not None
            assert 0 <= share.throttled <= share.periods

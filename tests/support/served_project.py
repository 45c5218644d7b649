"""A Supabase project served by a thread of its own, for those that wait for an installation."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import uvloop

from tests.support.supabase_project import SupabaseProject, supabase_project

_START_SECONDS = 60
_END_SECONDS = 30


@contextmanager
def served_project(socket_dir: Path, database_name: str) -> Iterator[SupabaseProject]:
    """Over a migrated database, until the block ends."""
    begun: Future[SupabaseProject] = Future()
    loop, end = uvloop.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with supabase_project(socket_dir, database_name) as made:
            begun.set_result(made)
            await end.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        except BaseException as error:  # a skip as well
            begun.set_exception(error)

    thread = Thread(target=run)
    thread.start()
    try:
        yield begun.result(_START_SECONDS)
    finally:
        if thread.is_alive():
            loop.call_soon_threadsafe(end.set)
        thread.join(_END_SECONDS)
        loop.close()

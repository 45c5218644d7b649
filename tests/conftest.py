"""A real Postgres for every test that asks for one: one server a session, one database a test."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from xdist.remote import Producer
from xdist.scheduler.loadfile import LoadFileScheduling

from gateway.store.embedded import EmbeddedPostgres
from gateway.store.migrate import migrate
from gateway.store.postgres import PostgresDatabase
from tests.support.redis_server import RedisServer, redis_server

TEMPLATE = "sandgate_template"
# durability is tested where it matters, with a server of its own
ROOM_BYTES = 4 * 1024**3  # a gigabyte each for several workers
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A running server with a migrated template database."""
    folder = Path(tempfile.mkdtemp(prefix="sgt-", dir=_memory()))
    server = EmbeddedPostgres(folder, settings=FAST)
    try:
        asyncio.run(_prepare(server))
        yield server
    finally:
        asyncio.run(server.stop())
        shutil.rmtree(folder)


@pytest.fixture
async def database_name(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """Name of a migrated database that only this test uses."""
    name = f"test_{uuid4().hex[:12]}"
    await _administer(postgres, f"create database {name} template {TEMPLATE} strategy file_copy")
    yield name
    await _administer(postgres, f"drop database {name} with (force)")


@pytest.fixture
async def database(
    postgres: EmbeddedPostgres, database_name: str
) -> AsyncIterator[PostgresDatabase]:
    """The store on this test's database."""
    async with await PostgresDatabase.connect(
        postgres.socket_dir, database=database_name
    ) as opened:
        yield opened


@pytest.fixture
def dsn(postgres: EmbeddedPostgres, database_name: str) -> str:
    """Address of this test's database for its owner, the role `postgres`."""
    return postgres.dsn("postgres", database_name)


@pytest.fixture
async def owner(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A bare connection of the owner, past row-level security."""
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """A redis-server for the whole session; tests that do harm start their own."""
    with redis_server() as server:
        yield server


def _memory() -> Path | None:
    """A place where copying a database costs no disk; None where it has too little room."""
    place = Path("/dev/shm")
    if place.is_dir() and shutil.disk_usage(place).free > ROOM_BYTES:
        return place
    return None


async def _prepare(server: EmbeddedPostgres) -> None:
    await server.start()
    await _administer(server, f"create database {TEMPLATE}")
    await migrate(server.socket_dir, database=TEMPLATE)


async def _administer(server: EmbeddedPostgres, command: str) -> None:
    connection = await asyncpg.connect(server.dsn("supabase_admin"))
    try:
        await connection.execute(command)
    finally:
        await connection.close()


# Whole installations and builders in every runtime: minutes on two cores.
SLOW = (
    "tests/conformance/test_freezing.py",
    "tests/gateway/cli/test_backup.py",
    "tests/gateway/cli/test_full_disk.py",
    "tests/gateway/cli/test_killed.py",
    "tests/gateway/cli/test_tenant_data.py::test_of_a_project",
    "tests/gateway/data/test_server.py::test_a_flood",
    "tests/generator/test_scenarios.py::test_it_ends_as_expected",
    "tests/gateway/proxy/test_leases.py::test_a_thousand_first_calls",
    "tests/hostile/test_churn.py",
    "tests/hostile/test_rows.py",
    "tests/journeys/",
    "tests/sandbox/egress/test_door_noise.py",
    "tests/sandbox/layers/test_building.py",
    "tests/sandbox/layers/test_liars.py::test_files_without_end",
    "tests/sandbox/layers/test_with_manager.py",
    "tests/sandbox/probes/test_host.py",
    "tests/sandbox/runner/test_deadlines.py",
    "tests/sandbox/runner/test_runner.py::test_a_websocket_is_served",
    "tests/sandbox/runtimes/test_docker.py::test_a_base_image",
    "tests/sandbox/runtimes/test_docker.py::test_a_sandbox_that_ends_while",
    "tests/sandbox/runtimes/test_docker.py::test_an_image_that_somebody",
    "tests/sandbox/runtimes/test_root.py::test_the_systems_own",
    "tests/sandbox/runtimes/test_root.py::test_two_builders",
)
# what everything else rests upon
NEVER_SLOW = ("tests/journeys/test_one_file.py",)


# journeys with installations of their own; all others share one for each runtime
ALONE = (
    "test_call_settings", "test_dependencies", "test_egress", "test_hardening", "test_hogs",
    "test_life", "test_redis", "test_supabase", "test_workers",
)  # fmt: skip


class ByInstallation(LoadFileScheduling):  # type: ignore[misc]
    """Tests of one file run in one worker, and so do those of one shared installation."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        if file.startswith("tests/journeys/") and Path(file).stem not in ALONE:
            for runtime in ("bubblewrap", "docker"):
                if f"[{runtime}" in test:
                    return f"the installation on {runtime}"
        return file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByInstallation:
    """What takes long to start is started once."""
    return ByInstallation(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long has a make target of its own."""
    for item in items:
        # a kernel in user space takes seconds for each start
        is_slow = item.nodeid.startswith(SLOW) or "gvisor" in item.nodeid
        if is_slow and not item.nodeid.startswith(NEVER_SLOW):
            item.add_marker(pytest.mark.slow)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In continuous integration nothing may be missing: there a skipped test fails the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") != "true" or reporter is None:
        return
    # what not every platform carries says so, and why, in its reason
    skipped = [s for s in reporter.stats.get("skipped", []) if "optional:" not in str(s.longrepr)]
    if skipped and not hasattr(session.config, "workerinput"):
        reporter.write_line(f"CI=true: {len(skipped)} skipped tests count as failures", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

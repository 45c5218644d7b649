"""The embedded server: one cluster, one server, and nothing that outlives its starter."""

import asyncio
import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from gateway.store import binaries
from gateway.store.binaries import PostgresStartError, ServiceUser
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.processes import process_state
from gateway.users import GATEWAY
from tests.support.waiting import until, until_blocking

FAST = {"fsync": "off", "shared_buffers": "16MB"}
STARTER = """
import asyncio, sys
from pathlib import Path
from gateway.store.embedded import EmbeddedPostgres
async def main():
    server = EmbeddedPostgres(Path(sys.argv[1]), settings={"fsync": "off"})
    await server.start()
    print(server.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root hands over to another user")


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="sge-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedPostgres]:
    made = EmbeddedPostgres(folder / "data", settings=FAST)
    yield made
    asyncio.run(made.stop())


async def query(server: EmbeddedPostgres, text: str) -> object:
    connection = await asyncpg.connect(server.dsn("supabase_admin"))
    try:
        return await connection.fetchval(text)
    finally:
        await connection.close()


async def test_start_and_stop_keep_the_data(server: EmbeddedPostgres) -> None:
    await server.start()
    await query(server, "create table kept as select 7 as n")
    pid = server.pid
    await server.stop()
    assert pid is not None
    assert process_state(pid) == "gone"
    assert (server.pid, server.owner) == (None, False)
    await server.start()
    assert await query(server, "select n from kept") == 7


async def test_start_twice_is_one_server(server: EmbeddedPostgres) -> None:
    await server.start()
    pid = server.pid
    await server.start()
    assert server.pid == pid


async def test_stop_without_start_does_nothing(server: EmbeddedPostgres) -> None:
    await server.stop()


def assert_private(folder: Path) -> None:
    """Nobody else gets in; as root the gateway's user may walk through, and only that."""
    found = folder.stat()
    assert found.st_mode & 0o67 == 0
    assert not found.st_mode & 0o10 or found.st_gid == GATEWAY.uid


async def test_no_network_port_and_a_private_socket(server: EmbeddedPostgres) -> None:
    await server.start()
    assert await query(server, "show listen_addresses") == ""
    assert server.pid is not None
    assert psutil.Process(server.pid).net_connections("inet") == []
    assert_private(server.socket_dir)


async def test_the_superuser_is_not_postgres(server: EmbeddedPostgres) -> None:
    await server.start()
    roles = await query(server, "select array_agg(rolname) from pg_roles where rolsuper")
    assert roles == ["supabase_admin"]


async def test_two_starters_share_one_server(folder: Path) -> None:
    """The one that holds the lock owns it; the other finds it and leaves it alone."""
    first, second = (EmbeddedPostgres(folder / "data", settings=FAST) for _ in range(2))
    await asyncio.gather(first.start(), second.start())
    owner, guest = (first, second) if first.owner else (second, first)
    assert not guest.owner
    assert guest.pid is None
    assert await query(guest, "select 1") == 1
    await guest.stop()
    assert await query(owner, "select 1") == 1
    await owner.stop()


async def test_a_guest_takes_over_when_the_owner_has_gone(folder: Path) -> None:
    owner, guest = (EmbeddedPostgres(folder / "data", settings=FAST) for _ in range(2))
    await owner.start()
    await guest.start()
    await owner.stop()
    assert await asyncio.wait_for(guest.wait_exit(), 20) is None
    await guest.start()
    assert guest.owner
    assert await query(guest, "select 1") == 1
    await guest.stop()


async def test_a_killed_server_is_noticed_and_starts_again(server: EmbeddedPostgres) -> None:
    await server.start()
    await query(server, "create table kept as select 7 as n")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    assert await asyncio.wait_for(server.wait_exit(), 20) == -signal.SIGKILL
    await server.start()
    assert await query(server, "select n from kept") == 7


async def test_start_right_after_a_kill_needs_no_wait_between(server: EmbeddedPostgres) -> None:
    for _ in range(3):
        await server.start()
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
    await server.start()
    assert await query(server, "select 1") == 1


def start_elsewhere(data: Path) -> tuple[subprocess.Popen[str], int]:
    """A starter in a process of its own, and its server's process id."""
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(data)], stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    return starter, int(starter.stdout.readline())


def kill_starter(starter: subprocess.Popen[str]) -> None:
    starter.kill()
    starter.wait()
    assert starter.stdout is not None
    starter.stdout.close()


def test_the_server_dies_with_its_starter(folder: Path) -> None:
    starter, pid = start_elsewhere(folder / "data")
    family = {pid, *(child.pid for child in psutil.Process(pid).children())}
    kill_starter(starter)
    until_blocking(lambda: not any(process_state(one) == "postgres" for one in family))


async def test_a_new_starter_follows_a_killed_one_at_once(server: EmbeddedPostgres) -> None:
    starter, old = start_elsewhere(server.socket_dir.parent)
    kill_starter(starter)
    await server.start()
    assert server.owner
    assert server.pid != old
    assert await query(server, "select 1") == 1


async def test_a_stale_pid_of_something_else_is_no_obstacle(server: EmbeddedPostgres) -> None:
    await server.start()
    await server.stop()
    text = f"{os.getpid()}\n{server.socket_dir}\n1\n5432\n{server.socket_dir}\n\n"
    (server.socket_dir / "postmaster.pid").write_text(text)
    await server.start()
    assert await query(server, "select 1") == 1


async def test_a_half_made_cluster_is_made_anew(server: EmbeddedPostgres) -> None:
    half = server.socket_dir.with_name("pg.new")
    half.mkdir(parents=True)
    (half / "rubbish").touch()
    await server.start()
    assert not half.exists()


async def test_a_removed_data_directory_is_a_fresh_start(server: EmbeddedPostgres) -> None:
    await server.start()
    await query(server, "create table kept as select 7 as n")
    await server.stop()
    shutil.rmtree(server.socket_dir.parent)
    await server.start()
    assert await query(server, "select to_regclass('kept')") is None


async def test_a_long_path_gets_a_short_private_socket(folder: Path) -> None:
    server = EmbeddedPostgres(folder / ("long" * 30), settings=FAST)
    await server.start()
    short = server.socket_dir
    try:
        assert len(str(short)) < 90
        assert_private(short)
        assert await query(server, "select 1") == 1
    finally:
        await server.stop()
    assert not short.exists()


async def test_a_short_socket_directory_of_somebody_else_is_refused(folder: Path) -> None:
    server = EmbeddedPostgres(folder / ("long" * 30), settings=FAST)
    server.socket_dir.mkdir(mode=0o777)
    server.socket_dir.chmod(0o777)
    try:
        with pytest.raises(PostgresStartError, match="not private"):
            await server.start()
        assert not server.owner
    finally:
        server.socket_dir.rmdir()


async def test_a_cluster_of_another_version_is_explained(server: EmbeddedPostgres) -> None:
    await server.start()
    await server.stop()
    (server.socket_dir / "PG_VERSION").write_text("15\n")
    with pytest.raises(PostgresStartError, match="made by Postgres 15, the installed one is 18"):
        await server.start()
    assert not server.owner


async def test_something_else_in_the_clusters_place_is_not_touched(
    server: EmbeddedPostgres,
) -> None:
    server.socket_dir.mkdir(parents=True)
    (server.socket_dir / "precious").touch()
    with pytest.raises(PostgresStartError, match="not a Postgres cluster"):
        await server.start()
    assert (server.socket_dir / "precious").exists()


async def test_a_data_directory_that_cannot_be_made(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(PostgresStartError, match="Not a directory"):
        await EmbeddedPostgres(folder / "file" / "data").start()


async def test_a_read_only_data_directory_says_what_to_do() -> None:
    """The kernel's own file system cannot be written by anybody, root included."""
    with pytest.raises(
        PostgresStartError, match=r"/sys/kernel/sandgate.*(SANDGATE_DATA_DIR|No such file)"
    ):
        await EmbeddedPostgres(Path("/sys/kernel/sandgate")).start()


async def test_a_full_disk_says_what_to_do(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(binaries, "installed", full)
    with pytest.raises(PostgresStartError, match=r"disk of .* is full"):
        await server.start()
    assert not server.owner


async def test_a_server_that_refuses_to_run_shows_its_log(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "data", settings={"shared_buffers": "nonsense"})
    with pytest.raises(PostgresStartError, match="shared_buffers"):
        await server.start()
    assert not server.owner


@as_root
async def test_a_checkout_below_a_private_home(folder: Path) -> None:
    """Nobody may walk into the data directory, yet the server there runs as nobody."""
    folder.chmod(0o700)
    server = EmbeddedPostgres(folder / "home" / "data", settings=FAST)
    await server.start()
    try:
        assert await query(server, "select 1") == 1
        assert server.pid is not None
        assert psutil.Process(server.pid).uids().real == ServiceUser.current().uid
    finally:
        await server.stop()


@as_root
def test_programs_that_nobody_can_reach_are_copied_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A virtual environment below a private home: the copy runs, and is made only once."""
    source, nobody = binaries.installed(), ServiceUser.current()
    hidden = folder / "site-packages"
    package = source.parent.name
    shutil.copytree(source, hidden / package / "pginstall", symlinks=True)
    shutil.copytree(
        source.parent.parent / f"{package}.libs", hidden / f"{package}.libs", symlinks=True
    )
    folder.chmod(0o700)
    pginstall = hidden / package / "pginstall"
    assert not binaries.runnable(pginstall, nobody)
    place = Path(tempfile.mkdtemp(prefix="sgc-"))
    place.chmod(0o755)
    monkeypatch.setattr(binaries, "copy_location", lambda _: place / "copy")
    try:
        copied = binaries.reachable_copy(pginstall)
        assert binaries.runnable(copied, nobody)
        assert binaries.reachable_copy(pginstall) == copied
        assert [path.name for path in place.iterdir()] == ["copy"]
    finally:
        shutil.rmtree(place)


async def test_restart_is_awaited_by_the_supervisor(server: EmbeddedPostgres) -> None:
    await server.start()
    waiter = asyncio.create_task(server.wait_exit())
    first = server.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(waiter.done)
    await server.start()
    assert server.pid not in (None, first)

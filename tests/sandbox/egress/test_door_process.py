"""The door as the process it is, with a real manager's end of the outlet."""

import asyncio
import signal
import stat
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sandbox.channel import bind
from sandbox.egress.server import parse
from sandbox.outlet import Outlet
from sandbox.paths import RunPaths
from tests.sandbox.egress.harness import Reply
from tests.sandbox.egress.resolver import LocalResolver, Script, local_resolver
from tests.support.managing import short_directory
from tests.support.waiting import until

ROOT = Path(__file__).parents[3]
GET = b"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n"


@asynccontextmanager
async def door(run: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "sandbox.egress.server", "--run-dir", str(run), *arguments),
        cwd=ROOT,
        env={},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture
async def resolver() -> AsyncIterator[LocalResolver]:
    async with local_resolver() as opened:
        yield opened


@pytest.fixture
async def paths() -> AsyncIterator[RunPaths]:
    with short_directory() as directory:
        yield RunPaths(directory)


@asynccontextmanager
async def manager(
    paths: RunPaths, said: list[str], hosts: Sequence[str]
) -> AsyncIterator[tuple[Outlet, Path]]:
    outlet = Outlet(paths.door_socket, lambda _, text: said.append(text))
    way = paths.run / "way.sock"
    with bind(way) as listener:
        outlet.open("s1", "api", listener, {"hosts": list(hosts)})
    running = asyncio.create_task(outlet.run())
    yield outlet, way
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def ask(way: Path) -> Reply:
    reader, writer = await asyncio.open_unix_connection(way)
    writer.write(GET)
    async with asyncio.timeout(20):
        reply = Reply(await reader.read())
    writer.close()
    return reply


async def test_it_serves_what_the_manager_hands_it_and_survives_being_killed(
    paths: RunPaths, resolver: LocalResolver
) -> None:
    resolver.scripts["a.example"] = Script(a=[["169.254.169.254"]])
    said: list[str] = []
    async with manager(paths, said, ["a.example"]) as (outlet, way):
        async with door(paths.run, "--nameserver", resolver.address) as process:
            assert (await ask(way)).code == "egress_address_refused"
            await until(lambda: len(said) == 1)
            outlet.update("api", {"hosts": []})
            while (code := (await ask(way)).code) == "egress_address_refused":
                pass
            assert code == "egress_host_not_allowed"
            outlet.update("api", {"hosts": ["a.example"]})
            process.kill()
            await process.wait()
        async with door(paths.run, "--nameserver", resolver.address):
            assert (await ask(way)).code == "egress_address_refused"


async def test_sigterm_leaves_nothing(paths: RunPaths, resolver: LocalResolver) -> None:
    async with door(paths.run, "--nameserver", resolver.address) as process:
        await until(paths.door_socket.exists)
        assert stat.S_IMODE(paths.door_socket.stat().st_mode) == 0o600
        assert stat.S_IMODE(paths.door_ca.stat().st_mode) == 0o644
        text = paths.door_ca.read_text()
        assert text.startswith("-----BEGIN CERTIFICATE-----")
        assert "PRIVATE" not in text
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 20) == 0
    assert list(paths.door_socket.parent.iterdir()) == []


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
async def test_sandboxes_go_on_trusting_the_next_door(
    paths: RunPaths, resolver: LocalResolver, ending: signal.Signals
) -> None:
    async with manager(paths, [], []) as (_, way):
        async with door(paths.run, "--nameserver", resolver.address) as process:
            assert (await ask(way)).code == "egress_host_not_allowed"
            trusted = paths.door_ca.read_text()
            assert stat.S_IMODE(paths.door_key.stat().st_mode) == 0o600
            process.send_signal(ending)
            await process.wait()
        async with door(paths.run, "--nameserver", resolver.address):
            assert (await ask(way)).code == "egress_host_not_allowed"
            assert paths.door_ca.read_text() == trusted


async def test_another_users_manager_is_not_heard(paths: RunPaths, resolver: LocalResolver) -> None:
    arguments = ("--nameserver", resolver.address, "--client-uid", "12345")
    async with door(paths.run, *arguments):
        await until(paths.door_socket.exists)
        reader, writer = await asyncio.open_unix_connection(paths.door_socket)
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--nameserver", "ns.example"),
        ("--nameserver", "1.2.3.4:0"),
        ("--nameserver", ""),
        ("--connection-seconds", "0"),
        ("--connection-seconds", "nan"),
        ("--bytes", "0"),
        ("--strange",),
    ],
)
def test_wrong_arguments_are_said(
    arguments: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(["--run-dir", "/nowhere", *arguments])
    assert "error: " in capsys.readouterr().err


def test_arguments() -> None:
    given = parse(
        [
            *("--run-dir", "/nowhere", "--nameserver", "[::1]:53", "--nameserver", "1.1.1.1"),
            *("--client-uid", "0", "--connection-seconds", "7.5", "--bytes", "9"),
        ]
    )
    assert [str(one) for one in given.nameservers] == ["Do53:::1@53", "Do53:1.1.1.1@53"]
    assert given.client_uids == {0}
    assert (given.limits.connection_seconds, given.limits.connection_bytes) == (7.5, 9)

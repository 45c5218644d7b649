"""`sandgate serve`: Postgres, manager, gateway and worker under one supervisor."""

import asyncio
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import httpx

from gateway.addresses import base_url
from gateway.cli import admin, files, first_run, identity
from gateway.cli.children import DOOR_ENVIRONMENT, MANAGER_ENVIRONMENT, Program
from gateway.cli.failures import StartError
from gateway.cli.gateways import (
    GatewayProcess,
    Rolling,
    check,
    gateways,
    had_terminal,
    terminal_is_gone,
)
from gateway.cli.identity import Identities
from gateway.cli.listener import open_listener
from gateway.cli.supervisor import ChildProcess, Supervisor
from gateway.reporting import report_environment
from gateway.secrets import Secrets, load_or_create_secrets
from gateway.settings import Settings
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.migrate import migrate
from gateway.store.project import check_project, project_of
from gateway.users import by_root
from sandbox.paths import runtime_dir

READY_SECONDS = 180.0  # the first start builds the runner root, and the image when docker is there


class KeptPostgres:
    """The embedded server as something to keep."""

    name = "postgres"

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server

    async def start(self) -> None:
        """Start, or recover after a crash."""
        await self._server.start()

    async def ended(self) -> str:
        """Wait for the server's end."""
        return f"exit status {await self._server.wait_exit()}"

    async def stop(self) -> None:
        """Clean shutdown."""
        await self._server.stop()


def say(text: str = "") -> None:
    """One line for the person at the terminal."""
    print(text, flush=True)


async def serve(settings: Settings) -> None:
    """Run until SIGINT or SIGTERM; leaves nothing behind."""
    stop = _stop_signal()
    rolling = Rolling()
    _roll_on_hangup(rolling, stop)
    task = asyncio.create_task(_serve(settings, stop, rolling))
    waiter = asyncio.create_task(stop.wait())
    await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
    waiter.cancel()
    if not task.done():
        say("\nstopping …")
        task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        say("stopped")


def _stop_signal() -> asyncio.Event:
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, event.set)
    return event


def _roll_on_hangup(rolling: Rolling, stop: asyncio.Event) -> None:
    """SIGHUP replaces the gateways, be it before they are there; that of a closed terminal ends
    everything."""
    by_person = had_terminal()

    def hung_up() -> None:
        if by_person and terminal_is_gone():
            stop.set()
        else:
            rolling.request()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hung_up)


async def _serve(settings: Settings, stop: asyncio.Event, rolling: Rolling) -> None:
    begin = time.monotonic()
    check(settings)
    project = project_of(settings)
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(open_listener(settings.gateway_host, settings.gateway_port))
        data_dir = settings.data_dir
        files.make_data_dir(data_dir)
        stack.enter_context(files.sole_owner(data_dir))
        shutil.rmtree(data_dir / files.STAGING, ignore_errors=True)  # of a restore that was killed
        secrets = load_or_create_secrets(data_dir, settings.admin_api_key)
        run_dir = runtime_dir(data_dir)
        users = _identities(data_dir, run_dir)
        supervisor = await stack.enter_async_context(Supervisor())
        if project is None:
            postgres = EmbeddedPostgres(data_dir)
            await supervisor.keep(KeptPostgres(postgres))
            await migrate(postgres.socket_dir)
        else:
            await check_project(project)
        kept = gateways(settings, run_dir, listener, users)
        door, manager, worker = _programs(settings, run_dir, users)
        await supervisor.keep(door, manager)
        await supervisor.keep(worker)  # ends after the gateways, and stores what they answered last
        await supervisor.keep(*kept, together=True)
        _keep_rolling(stack, rolling, kept)
        url = base_url(listener)
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=url, timeout=60, trust_env=False)
        )
        await _until_ready(client, data_dir)
        await _greet(client, settings, secrets, url, time.monotonic() - begin)
        await stop.wait()


def _keep_rolling(stack: AsyncExitStack, rolling: Rolling, kept: Sequence[GatewayProcess]) -> None:
    """From now on, until the supervisor stops what is being replaced."""
    task = asyncio.create_task(rolling.run(kept), name="rolling")

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)


def _identities(data_dir: Path, run_dir: Path) -> Identities:
    """Who the children become; says so when they must keep what this process has."""
    if by_root():
        files.hand_over(data_dir, run_dir)
    found = identity.identities(data_dir, run_dir)
    if found.reason:
        say(f"warning: every process keeps root, because {found.reason}")
    return found


def _programs(
    settings: Settings, run_dir: Path, users: Identities
) -> tuple[ChildProcess, ChildProcess, ChildProcess]:
    """Door, manager and worker, which start in this order and before the gateways."""
    data_dir = settings.data_dir
    own = settings.as_environment() | users.home
    sandgate = (sys.executable, "-m", "gateway.cli.main")
    manager = Program(
        "manager",
        (*manager_arguments(settings, run_dir), *users.manager_arguments),
        files.fresh_log(data_dir, "manager"),
        environment=MANAGER_ENVIRONMENT,
        stop_seconds=30,
    )
    worker = Program(
        "worker",
        (*sandgate, "worker", "--run-dir", str(run_dir)),
        files.fresh_log(data_dir, "worker"),
        hidden=users.hidden,
        extra=own,
        become=users.gateway,
    )
    door = Program(
        "door",
        (*door_arguments(settings, run_dir), *users.door_arguments),
        files.fresh_log(data_dir, "door"),
        environment=DOOR_ENVIRONMENT,
        extra=report_environment(settings),
        become=users.door,
    )
    return ChildProcess(door), ChildProcess(manager), ChildProcess(worker)


def door_arguments(settings: Settings, run_dir: Path) -> tuple[str, ...]:
    """The door's whole configuration; it reads no settings of ours."""
    nameservers = settings.egress_nameservers.replace(",", " ").split()
    return (
        *(sys.executable, "-m", "sandbox.egress.server"),
        *("--run-dir", str(run_dir)),
        *(word for each in nameservers for word in ("--nameserver", each)),
        *("--connection-seconds", str(settings.egress_connection_seconds)),
        *("--bytes", str(settings.egress_bytes)),
    )


def manager_arguments(settings: Settings, run_dir: Path) -> tuple[str, ...]:
    """The manager's whole configuration; it reads no settings of ours."""
    return (
        sys.executable,
        "-m",
        "sandbox.server",
        *("--data-dir", str(settings.data_dir)),
        *("--run-dir", str(run_dir)),
        *("--installation", files.installation_id(settings.data_dir)),
        *("--runtime", settings.sandbox_runtime),
        *("--base-image", settings.base_image),
        *("--blanks", str(settings.sandbox_blanks)),
        *("--max", str(settings.sandbox_max)),
        *("--tenant-max", str(settings.sandbox_tenant_max)),
        *("--lease-seconds", str(settings.sandbox_lease_seconds)),
        *("--life-seconds", str(settings.sandbox_life_seconds)),
        *("--call-cpu-seconds", str(settings.call_cpu_seconds)),
        *("--index-url", settings.package_index_url),
        *("--cooldown-days", str(settings.package_cooldown_days)),
        *("--package-allow", settings.package_allow),
        *("--package-deny", settings.package_deny),
        *(("--tier-floor", settings.sandbox_tier_floor) if settings.sandbox_tier_floor else ()),
        *("--idle-seconds", str(settings.sandbox_idle_seconds)),
        *("--start-seconds", str(settings.sandbox_start_seconds)),
    )


async def _until_ready(client: httpx.AsyncClient, data_dir: Path) -> None:
    """Poll /ready; on the way tell a person what is still being prepared."""
    deadline = time.monotonic() + READY_SECONDS
    told, last = time.monotonic() + 2, "the gateway does not answer yet"
    while time.monotonic() < deadline:
        try:
            answer = await client.get("/ready", timeout=5)
        except httpx.TransportError as error:
            last = f"the gateway does not answer yet ({type(error).__name__})"
        else:
            if answer.status_code == 200:
                return
            last = answer.text
        if time.monotonic() > told:
            told = time.monotonic() + 10
            say("preparing sandboxes (the first start takes a little longer) …")
        await asyncio.sleep(0.05)
    raise StartError(f"not ready after {READY_SECONDS:.0f} s: {last}\nlogs are in {data_dir}/logs")


async def _greet(
    client: httpx.AsyncClient, settings: Settings, secrets: Secrets, url: str, seconds: float
) -> None:
    """First start: make and show everything. Later ones: say where it is."""
    data_dir = settings.data_dir
    made = first_run.load(data_dir)
    if made is None:
        async with admin.people(settings) as create_admin:
            made = await first_run.first_run(
                client,
                create_admin,
                secrets.admin_api_key.get_secret_value(),
                url,
                project_of(settings),
            )
        first_run.save(data_dir, made)
        say(f"the demo API answered: {await first_run.call_demo(client, made)}")
        say()
        say(f"  admin     {made.admin_email}")
        say(f"  password  {made.admin_password}")
    elif made.base_url != url:
        made = replace(made, base_url=url)
        first_run.save(data_dir, made)
    say()
    say(f"  {made.curl}")
    say()
    say(f"Sandgate is ready at {url} ({seconds:.1f} s). All of this is in "
        f"{data_dir / first_run.FILE}. Ctrl-C stops it.")  # fmt: skip

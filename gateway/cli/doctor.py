"""`sandgate doctor`: Python, Postgres and port, then what the sandboxes need."""

import platform
import sys

from gateway.cli.failures import ListenError
from gateway.cli.listener import open_listener
from gateway.errors import SandgateError
from gateway.limits.open import look_at
from gateway.limits.redis_membership import StoreUnfitError
from gateway.settings import Settings
from gateway.store.binaries import installed
from gateway.store.project import ProjectError, check_project, project_of
from sandbox.doctor import Check, render
from sandbox.doctor import examine as examine_sandboxes

__all__ = ["Check", "examine", "render"]


async def examine(settings: Settings) -> list[Check]:
    """Every check of this machine, in the order it is best read."""
    return [
        _python(),
        await _store(settings),
        _port(settings),
        *await _redis(settings),
        *await examine_sandboxes(settings.data_dir, settings.sandbox_runtime),
    ]


async def _redis(settings: Settings) -> list[Check]:
    """The store of limits, where one is asked for."""
    if settings.redis_url is None:
        return []
    try:
        return [Check("redis", True, await look_at(settings.redis_url.get_secret_value()))]
    except StoreUnfitError as error:
        hint = "without it limits are bounded shares and priced calls are refused"
        return [Check("redis", False, str(error), hint)]


def _python() -> Check:
    return Check("python", sys.version_info >= (3, 11), platform.python_version(), "use 3.11+")


async def _store(settings: Settings) -> Check:
    """Where data is: a Supabase project, or our own Postgres."""
    try:
        project = project_of(settings)
        if project is None:
            return _postgres()
        generation = await check_project(project)
    except ProjectError as error:
        return Check("supabase", False, error.detail, "see docs/supabase.md")
    return Check("supabase", True, f"{project.url}, change {generation}")


def _postgres() -> Check:
    try:
        return Check("postgres", True, str(installed()))
    except SandgateError as error:
        return Check("postgres", False, error.detail, "make run installs it")


def _port(settings: Settings) -> Check:
    try:
        open_listener(settings.gateway_host, settings.gateway_port).close()
    except ListenError as error:
        return Check("port", False, str(error), "or it is Sandgate itself that runs", needed=False)
    return Check("port", True, f"{settings.gateway_host}:{settings.gateway_port} is free")

"""What makes APIs out of words, put together from settings: for gateways and for the worker."""

import hashlib
import importlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gateway.limits.memory import MemoryLimiter
from gateway.operations.generation import Generation, Library, nano_usd
from gateway.operations.health import Part
from gateway.operations.job_run import Generator, Tools, work
from gateway.operations.job_worker import JobWorker, Pace
from gateway.operations.ports import Services
from gateway.secrets import Keyring
from gateway.settings import Settings
from gateway.store.bundles import BundleStore
from gateway.store.database import Row
from gateway.store.jobs import HeldJob
from gateway.store.project import opened
from generator.contract import Contract
from generator.types import Checkpoint, Event, EventKind, GeneratorError, Wish
from sandbox.client import ManagerClient
from sandbox.paths import RunPaths

CONNECTIONS = 4
# whoever leaves one of these out has an installation that offers templates only
_LOOP = (
    "generator.loop",
    "generator.gates",
    "generator.resume",
    "generator.parts",
    "generator.llm.anthropic",
    "generator.llm.endpoint",
)


class NoChanges:
    """The database itself announces what a worker changes."""

    def publish(self, kind: str, identifier: str, /) -> None:
        """Nobody in this process remembers anything."""


def generation_of(settings: Settings) -> Generation:
    """Model, templates and caps of this installation."""
    library: Library | None = _part("generator.library")
    return Generation(
        model=_model(settings),
        library=library,
        caps={
            "job": nano_usd(settings.generation_job_usd),
            "user_day": nano_usd(settings.generation_user_day_usd),
            "day": nano_usd(settings.generation_day_usd),
        },
    )


def model_probe(generation: Generation) -> Callable[[], Awaitable[Part]]:
    """Tells `/ready` whether a model is set; without one everything else works."""

    async def model() -> Part:
        return Part(True, generation.missing or f"{generation.model} writes code")

    return model


async def job_worker(stack: AsyncExitStack, settings: Settings, run_dir: Path) -> JobWorker:
    """This process's share of the queue, over connections of its own."""
    database = await stack.enter_async_context(opened(settings, connections=CONNECTIONS))
    keyring = Keyring.of(settings.data_dir, settings.admin_api_key, settings.secrets_key)
    manager = ManagerClient(RunPaths(run_dir).manager_socket)
    stack.push_async_callback(manager.close)
    services = Services(
        database=database,
        bundles=BundleStore(database, keyring.secrets_keys),
        sandboxes=manager,
        changes=NoChanges(),
        usage=MemoryLimiter(time.time),
        clock=time.time,
        hash_secrets=keyring.hash_secrets,
        code_bytes=settings.code_bytes,
        generation=generation_of(settings),
    )
    generator = await _generator(stack, settings, _salt(keyring.current.key_hash_secret))

    async def one(held: HeldJob, row: Row) -> None:
        await work(services, generator, held, row)

    return JobWorker(database, one, Pace(concurrency=settings.generation_jobs))


async def _generator(stack: AsyncExitStack, settings: Settings, salt: str) -> Generator:
    """The loop over the model that is set; templates need neither."""
    template = _part("generator.template")
    assemble = template.assemble if template else _no_template
    if not _model(settings):
        return Generator(_no_model, lambda _: Checkpoint(), assemble)
    loop, gates, resume, parts, anthropic, endpoint = map(importlib.import_module, _LOOP)
    opened_endpoint = await stack.enter_async_context(
        endpoint.Endpoint(_model_settings(settings, salt))
    )

    def run(wish: Wish, tools: Tools) -> AsyncGenerator[Event, None]:
        model = anthropic.AnthropicModel(opened_endpoint, tools.budget, tools.user_id)
        stronger = model.escalated("repair")
        made = parts.Parts(model, tools.stage, gates.GATES, stronger)
        events: AsyncGenerator[Event, None] = loop.run(wish, made)
        return events

    return Generator(run, resume.checkpoint_of, assemble)


def _model(settings: Settings) -> str:
    """Which model writes code; empty when none is set, or when nobody could ask it."""
    if not all(map(_is_there, _LOOP)):
        return ""
    chosen = _model_settings(settings)
    return "" if chosen.missing else str(chosen.model_for("code"))


def _model_settings(settings: Settings, salt: str = "") -> Any:
    """`generator.llm.settings.ModelSettings`. `Any`: a part that may be left out."""
    llm = importlib.import_module("generator.llm.settings")
    key = settings.anthropic_api_key
    return llm.ModelSettings(
        api_key=key.get_secret_value() if key else "",
        base_url=settings.anthropic_base_url or llm.OWN_ADDRESS,
        model=settings.generation_model,
        user_salt=salt,
    )


def _salt(secret: bytes) -> str:
    """So that what a provider is told of a person says nothing elsewhere."""
    return hashlib.sha256(b"people of language models" + secret).hexdigest()


async def _no_model(_wish: Wish, _tools: Tools) -> AsyncGenerator[Event, None]:
    """A job that was taken while there was a model."""
    told = {"code": "no_model", "reason": "No language model is set any more."}
    yield Event(EventKind.FAILED, "No language model is set any more.", told)


def _no_template(contract: Contract, body: str) -> str:
    raise GeneratorError(f"{contract.title} cannot be put together here ({len(body)} characters).")


def _part(name: str) -> Any:
    """A module of the generator; None where it was left out. `Any`: its own types hold in it."""
    return importlib.import_module(name) if _is_there(name) else None


def _is_there(name: str) -> bool:
    """Looked for without being loaded: a gateway needs no client of a model."""
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False

"""What makes APIs out of words, put together from settings: for gateways and for the worker."""

import hashlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from gateway.limits.memory import MemoryLimiter
from gateway.operations.budget import PersonBudget
from gateway.operations.generation import Generation, nano_usd
from gateway.operations.health import Part
from gateway.operations.job_run import Generator, Tools, work
from gateway.operations.job_worker import JobWorker, Pace
from gateway.operations.model_line import ModelDesk
from gateway.operations.ports import Services
from gateway.secrets import Keyring
from gateway.settings import Settings
from gateway.store.bundles import BundleStore
from gateway.store.database import Database, Row
from gateway.store.jobs import HeldJob
from gateway.store.model_costs import Caps
from gateway.store.project import opened
from generator import library
from generator.chat import Speaker
from generator.llm.base import Budget
from generator.llm.settings import OWN_ADDRESS, ModelSettings
from generator.template import assemble
from generator.types import Checkpoint, Event, EventKind, Wish
from sandbox.client import ManagerClient
from sandbox.paths import RunPaths

if TYPE_CHECKING:
    from generator.llm.anthropic import AnthropicModel

Asking = Callable[[Budget, str], "AnthropicModel"]
CONNECTIONS = 4


class NoChanges:
    """The database itself announces what a worker changes."""

    def publish(self, kind: str, identifier: str, /) -> None:
        """Nobody in this process remembers anything."""


def generation_of(settings: Settings) -> Generation:
    """Model, templates and caps of this installation."""
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


@dataclass(frozen=True, slots=True)
class MakingParts:
    """What a worker runs: its share of the queue, and the desk at which gateways ask a model."""

    jobs: JobWorker
    desk: ModelDesk | None


async def making(stack: AsyncExitStack, settings: Settings, run_dir: Path) -> MakingParts:
    """Over connections of their own. Only where a model is set its client is loaded."""
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
    generator, desk = Generator(_no_model, lambda _: Checkpoint(), assemble), None
    if services.generation.model:
        salt = _salt(keyring.current.key_hash_secret)
        asking = await _asking(stack, _model_settings(settings, salt))
        generator = _generator(asking)
        desk = ModelDesk(_speakers(asking, database, services.generation.caps))

    async def one(held: HeldJob, row: Row) -> None:
        await work(services, generator, held, row)

    return MakingParts(JobWorker(database, one, Pace(concurrency=settings.generation_jobs)), desk)


async def _asking(stack: AsyncExitStack, chosen: ModelSettings) -> Asking:
    """Who asks a model, on whose account. The client is heavy: it is loaded here alone."""
    from generator.llm.anthropic import AnthropicModel
    from generator.llm.endpoint import Endpoint

    endpoint = await stack.enter_async_context(Endpoint(chosen))
    return lambda budget, user_id: AnthropicModel(endpoint, budget, user_id)


def _generator(asking: Asking) -> Generator:
    from generator import gates, loop, parts, resume

    def run(wish: Wish, tools: Tools) -> AsyncGenerator[Event, None]:
        model = asking(tools.budget, tools.user_id)
        made = parts.Parts(model, tools.stage, gates.GATES, model.escalated("repair"))
        return loop.run(wish, made)

    return Generator(run, resume.checkpoint_of, assemble)


def _speakers(asking: Asking, database: Database, caps: Caps) -> Callable[[UUID, UUID], Speaker]:
    def model_for(user_id: UUID, tenant_id: UUID) -> Speaker:
        return asking(PersonBudget(database, tenant_id, user_id, caps), str(user_id))

    return model_for


def _model(settings: Settings) -> str:
    """Which model writes code; empty when none is set."""
    chosen = _model_settings(settings)
    return "" if chosen.missing else chosen.model_for("code")


def _model_settings(settings: Settings, salt: str = "") -> ModelSettings:
    key = settings.anthropic_api_key
    return ModelSettings(
        api_key=key.get_secret_value() if key else "",
        base_url=settings.anthropic_base_url or OWN_ADDRESS,
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

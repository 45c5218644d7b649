"""Routes for whoever watches the installation."""

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel

from gateway.auth.subject import Anonymous, Subject
from gateway.control.services import Control
from gateway.control.subject import Administrator, subject_of
from gateway.metrics import CONTENT_TYPE
from gateway.operations import health
from gateway.operations.health import Part, RunningSandbox
from gateway.store.apis import count_active
from sandbox.types import TierStatus

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """This process answers."""

    status: str = "ok"


class Ready(BaseModel):
    """Every part of the installation; `ready` only when all are.

    `tiers` are the kinds of isolation, strongest first, with the reason where one is missing.
    """

    ready: bool
    parts: dict[str, Part]
    tiers: list[TierStatus]


class PublicStats(BaseModel):
    """What anybody may know. `calls` are those of this machine since its gateways started."""

    version: str
    uptime_seconds: float
    apis_active: int
    calls: dict[str, int]


class Stats(PublicStats):
    """And what runs now, as far as you may know."""

    runtime: str
    tier: str
    tiers: list[TierStatus]
    blanks: int
    sandboxes: list[RunningSandbox]


@router.get("/health")
async def healthy() -> Health:
    """Alive, whatever the state of the other parts."""
    return Health()


@router.get("/ready", responses={503: {"description": "Not ready", "model": Ready}})
async def ready(services: Control, response: Response) -> Ready:
    """Each part with its reason; 503 until all of them are there."""
    found = await health.readiness(services.operations, services.probes)
    all_ok = all(part.ok for part in found.parts.values())
    if not all_ok:
        response.status_code = 503
        response.headers["Retry-After"] = "2"
    return Ready(ready=all_ok, parts=found.parts, tiers=list(found.tiers))


@router.get("/metrics", response_class=Response)
async def metrics(services: Control, _subject: Administrator) -> Response:
    """Counters in Prometheus' text format."""
    text = await services.metrics.scrape(services.operations.sandboxes.status)
    if services.peers is not None:
        text = await services.peers.render()
    return Response(text, headers={"content-type": CONTENT_TYPE})


@router.get("/api/stats")
async def stats(
    services: Control, subject: Annotated[Subject, Depends(subject_of)]
) -> Stats | PublicStats:
    """Uptime, active APIs and calls by class of status; when signed in, your sandboxes too."""
    numbers, is_anybody = services.numbers, isinstance(subject, Anonymous)
    public = PublicStats(
        version=services.version,
        uptime_seconds=time.monotonic() - services.started_at,
        apis_active=await numbers.apis_active.get(
            lambda: count_active(services.operations.database)
        ),
        calls=await (numbers.calls.get(services.calls) if is_anybody else services.calls()),
    )
    if isinstance(subject, Anonymous):
        return public
    fleet = await health.fleet(services.operations, subject)
    return Stats(
        **public.model_dump(),
        runtime=fleet.runtime,
        tier=fleet.tier,
        tiers=list(fleet.tiers),
        blanks=fleet.blanks,
        sandboxes=list(fleet.sandboxes),
    )

"""Routes of the hot reload and of the gateways that have it, for administrators."""

import re
from typing import Annotated

from fastapi import APIRouter, Header, Response
from pydantic.dataclasses import dataclass

from gateway.control.services import Ops
from gateway.control.subject import Administrator
from gateway.errors import InvalidInputError
from gateway.operations import reload, reload_trial
from gateway.operations import workers as gateways
from gateway.operations.ports import Services
from gateway.operations.reload import ReloadReport
from gateway.operations.reload_trial import ReloadTrial
from gateway.operations.workers import Workers
from gateway.store import generations

WAIT_SECONDS = 10.0

router = APIRouter(prefix="/admin/reload", tags=["admin"])
workers = APIRouter(prefix="/admin/workers", tags=["admin"])


@dataclass(frozen=True)
class AwaitedReport:
    """A reload, and whether every gateway has handled it."""

    report: ReloadReport
    handled: Workers


Outcome = ReloadReport | AwaitedReport | ReloadTrial
IfMatch = Annotated[str | None, Header(description="the generation this is meant for")]
Prefer = Annotated[str | None, Header(description="`wait=10`: answer when all gateways have it")]


@router.post("")
async def reload_all(
    services: Ops,
    subject: Administrator,
    response: Response,
    dry_run: bool = False,
    wait: bool = False,
    if_match: IfMatch = None,
    prefer: Prefer = None,
) -> Outcome:
    """A fresh sandbox for every API that has one; those that fail go on as they were.

    `dry_run` reads and checks every API aside and changes nothing. With If-Match nothing
    happens when the generation of `GET /admin/workers` is another one by now.
    """
    await gateways.require_generation(services, _generation(if_match))
    if dry_run:
        return await reload_trial.try_reload(services, subject)
    report = await reload.reload_all(services, subject)
    return await _answered(services, response, report, _seconds(prefer, asked=wait))


@router.post("/{api_id}")
async def reload_api(
    api_id: str,
    services: Ops,
    subject: Administrator,
    response: Response,
    dry_run: bool = False,
    wait: bool = False,
    if_match: IfMatch = None,
    prefer: Prefer = None,
) -> Outcome:
    """A fresh sandbox for one API; when its code does not start, nothing changes."""
    await gateways.require_generation(services, _generation(if_match))
    if dry_run:
        return await reload_trial.try_reload(services, subject, api_id)
    report = await reload.reload_api(services, subject, api_id)
    return await _answered(services, response, report, _seconds(prefer, asked=wait))


@workers.get("")
async def list_workers(services: Ops, subject: Administrator, response: Response) -> Workers:
    """Every gateway process that lives, and what it has handled."""
    found = await gateways.workers(services, subject)
    response.headers["ETag"] = f'"{found.generation}"'
    return found


async def _answered(
    services: Services, response: Response, report: ReloadReport, seconds: float
) -> Outcome:
    if not seconds:
        return report
    response.headers["Preference-Applied"] = f"wait={seconds:g}"
    generation = await generations.current(services.database)
    return AwaitedReport(report, await gateways.until_handled(services, generation, seconds))


def _generation(if_match: str | None) -> int | None:
    """The number in an entity tag; `*` matches whatever there is."""
    if if_match is None or if_match.strip() == "*":
        return None
    found = re.fullmatch(r'\s*"?(\d{1,18})"?\s*', if_match)
    if found is None:
        raise InvalidInputError("If-Match is a generation, as in ETag of /admin/workers.")
    return int(found[1])


def _seconds(prefer: str | None, *, asked: bool) -> float:
    """How long to wait; 0 when nobody asked for it."""
    found = re.search(r"(?:^|[,;\s])wait=(\d{1,4})\b", prefer or "", re.IGNORECASE)
    if found is not None:
        return min(float(found[1]), gateways.MAX_WAIT_SECONDS)
    return WAIT_SECONDS if asked else 0.0

"""Reports of leaked keys: whoever can show a key's text has it, and so it is revoked."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from gateway.auth.keys import is_well_formed
from gateway.errors import SandgateError
from gateway.operations.finish import finish
from gateway.operations.ports import Services
from gateway.store import api_keys

UNSIGNED_REPORTS = 30  # of one origin within UNSIGNED_SECONDS, over all gateways
UNSIGNED_SECONDS = 300.0
_ADDRESS_CHARACTERS = 300
_log = structlog.get_logger(__name__)


class TooManyReportsError(SandgateError):
    """One address reports more often than anybody finds keys."""

    status, code, title = 429, "too_many_reports", "Too many reports"

    def __init__(self, seconds: float) -> None:
        super().__init__(headers={"Retry-After": str(max(1, math.ceil(seconds)))})


@dataclass(frozen=True, slots=True)
class Leak:
    """Something that looks like a key, and where it was found."""

    text: str
    found_at: str = ""


async def count_unsigned(services: Services, origin: str) -> None:
    """One more report that nobody signed; TooManyReportsError for one too many."""
    wait = await api_keys.count_leak_report(
        services.database, origin, UNSIGNED_REPORTS, UNSIGNED_SECONDS
    )
    if wait > 0:
        raise TooManyReportsError(wait)


async def report_leaks(services: Services, leaks: Sequence[Leak], signer: str | None) -> None:
    """Revoke every working key among these. Nothing about which ones reaches the reporter."""
    secrets = services.hash_secrets()
    reports = [
        {"key_hash": key_hash, "found_at": _plain_address(leak.found_at)}
        for leak in leaks
        if is_well_formed(leak.text)
        for key_hash in secrets.hashes(leak.text).good
    ]
    reporter = f"the scanner {signer[:16]}" if signer else "somebody who had its text"

    async def revoke() -> int:
        gone = await api_keys.report_leaked(services.database, reports, reporter)
        for key_id in gone:
            services.changes.publish("key", key_id)
        return len(gone)

    revoked = await finish(revoke()) if reports else 0
    _log.info("leak_report", signer=signer, reported=len(leaks), revoked=revoked)


def _plain_address(found_at: str) -> str | None:
    """Where it was found, for its owner to read; text of strangers is shown when it is harmless."""
    is_plain = found_at.isascii() and found_at.isprintable() and " " not in found_at
    if is_plain and found_at.startswith(("https://", "http://")):
        return found_at[:_ADDRESS_CHARACTERS]
    return None

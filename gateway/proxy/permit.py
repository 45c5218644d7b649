"""May this key call this API now? Pure."""

from collections import OrderedDict
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple
from weakref import ref

from gateway.auth.restriction import Restriction as Restriction
from gateway.auth.verified import VerifiedKey
from gateway.errors import SandgateError
from gateway.limits.plan import limits_of
from gateway.metering.recorder import Grant
from gateway.proxy.errors import (
    ApiNotReadyError,
    ApiPausedError,
    ApiStartFailedError,
    ApiSuspendedError,
    KeyNotForApiError,
)
from gateway.proxy.headers import Field
from gateway.store.routes import Route

KEY_ENDS = b"x-sandgate-key-ends"
_REMEMBERED = 50_000
_Pair = tuple[str, str]  # ids of key and API


def refusal(route: Route, key: VerifiedKey) -> SandgateError | None:
    """Why not; None when it may. Whoever has no key for an API learns nothing about it."""
    if route.api_id not in key.api_ids:
        return KeyNotForApiError("Use a key that was made for this API.")
    if route.tenant_status != "active":
        return ApiSuspendedError("The owner of this API is suspended.")
    if route.status == "active":
        return None
    if route.status == "paused":
        return ApiPausedError()
    if route.status == "suspended":
        return ApiSuspendedError("An admin has suspended this API.")
    if route.status == "failed":
        return ApiStartFailedError("Its code did not start when it was deployed.")
    return ApiNotReadyError()


class Made(NamedTuple):
    """How a call was made: what a key may be narrowed in."""

    method: str
    path: bytes  # raw, inside the API
    address: str


def outside(key: VerifiedKey, made: Made) -> SandgateError | None:
    """Why the key's scopes and addresses do not include such a call; None when they do."""
    return None if key.restriction is None else key.restriction.refusal(*made)


class Grants:
    """What keys get of APIs, made once for many calls.

    A remembered grant holds only for the very objects it was made from. Caches replace those
    when something changes, so there is nothing here to invalidate. It keeps neither of them
    alive, and goes with its key: keys come and go by the thousand.
    """

    def __init__(self, size: int = _REMEMBERED) -> None:
        self._size = size
        self._known: OrderedDict[_Pair, tuple[ref[VerifiedKey], ref[Route], Grant]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def of(self, key: VerifiedKey, route: Route) -> Grant:
        """Limits and owners of the calls with this key to this API."""
        pair = (key.key_id, route.api_id)
        known = self._known.get(pair)
        if known is not None and known[0]() is key and known[1]() is route:
            return known[2]
        limits = limits_of(key, route.api_id, route.limits)
        if known is not None and known[2].limits == limits:
            limits = known[2].limits  # the limiter knows what it prepared for them by the object
        grant = Grant(
            api_id=route.api_id,
            tenant_id=route.tenant_id,
            caller_tenant_id=key.tenant_id,
            key_id=key.key_id,
            limits=limits,
            price=0 if key.tenant_id == route.tenant_id else route.price_nano_usd,
            restriction=key.restriction,
            answer_headers=end_of(key),
        )
        self._known[pair] = (ref(key, partial(_forget, self._known, pair)), ref(route), grant)
        if len(self._known) > self._size:
            self._known.popitem(last=False)
        return grant


def _forget(known: "OrderedDict[_Pair, Any]", pair: _Pair, _gone: object) -> None:
    """The key is gone. An entry that was made anew has another reference, and is not told."""
    known.pop(pair, None)


def end_of(key: VerifiedKey) -> tuple[Field, ...]:
    """What every answer to a rotated key says: until when it works beside its successor."""
    if key.ends_at is None:
        return ()
    moment = datetime.fromtimestamp(key.ends_at, UTC)
    return ((KEY_ENDS, f"{moment:%Y-%m-%dT%H:%M:%SZ}".encode()),)

"""The public keys of a project's Auth: fetched, remembered, asked for again when one is new."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import structlog

from gateway.errors import UnavailableError

ALGORITHMS = ("ES256", "RS256")
_GOOD_SECONDS = 600.0
_AGAIN_SECONDS = 10.0  # between two fetches, however many unknown keys are named
_BYTES = 256 * 1024

_log = structlog.get_logger(__name__)


class AuthUnavailableError(UnavailableError):
    """Whether a session is good cannot be found out at the moment."""

    code, title = "auth_unavailable", "The project's Auth does not answer"


class KeySet:
    """Keys by `kid`. What is known stays in use while the project does not answer."""

    def __init__(self, http: httpx.AsyncClient, url: str, *, clock: Callable[[], float]) -> None:
        self._http = http
        self._url = url
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] | None = None
        self._asked_at = float("-inf")
        self._lock = asyncio.Lock()

    async def key(self, kid: str, algorithm: str) -> jwt.PyJWK | None:
        """The key of this name, if it is one for this algorithm."""
        if self._is_due(kid):
            async with self._lock:
                if self._is_due(kid):  # nobody else has asked meanwhile
                    await self._fetch()
        if self._keys is None:
            raise AuthUnavailableError
        found = self._keys.get(kid)
        return found if found is not None and found.algorithm_name == algorithm else None

    def _is_due(self, kid: str) -> bool:
        age = self._clock() - self._asked_at
        is_known = self._keys is not None and kid in self._keys
        return age >= (_GOOD_SECONDS if is_known else _AGAIN_SECONDS)

    async def _fetch(self) -> None:
        self._asked_at = self._clock()
        try:
            answer = await self._http.get(self._url)
            answer.raise_for_status()
            self._keys = _read(answer.content)
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            _log.warning("keys_not_fetched", url=self._url, error=repr(error))


def _read(content: bytes) -> dict[str, jwt.PyJWK]:
    """Those of the keys that can be used."""
    if len(content) > _BYTES:
        raise ValueError("too long for a set of keys")
    document: Any = json.loads(content)
    found: dict[str, jwt.PyJWK] = {}
    for value in document["keys"]:
        try:
            key = jwt.PyJWK(value)
        except jwt.PyJWTError:
            continue
        if key.algorithm_name in ALGORITHMS and isinstance(key.key_id, str):
            found[key.key_id] = key
    return found

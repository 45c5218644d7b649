"""Whether a password is on a list of known ones, without telling the list which it is.

Only the first five characters of its SHA-1 leave; the answer holds all that begin so.
"""

import hashlib

import httpx
import structlog

_PREFIX = 5
_BYTES = 1024 * 1024
_SECONDS = 3.0
_log = structlog.get_logger(__name__)


class Breaches:
    """Asks a range API; when it does not answer properly nobody is kept from a password."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self._url = url.rstrip("/")
        self._http = http

    async def has(self, password: str) -> bool:
        """Whether the list has it."""
        digest = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()
        try:
            text = await self._range(digest[:_PREFIX])
        except (httpx.HTTPError, ValueError) as error:
            _log.warning("breached_passwords_unknown", reason=type(error).__name__)
            return False
        return any(_is_of(line, digest[_PREFIX:]) for line in text.splitlines())

    async def _range(self, prefix: str) -> str:
        request = self._http.stream(
            "GET", f"{self._url}/{prefix}", headers={"add-padding": "true"}, timeout=_SECONDS
        )
        async with request as response:
            response.raise_for_status()
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _BYTES:
                    raise ValueError("the answer has no end")
        return body.decode("ascii")


def _is_of(line: str, rest: str) -> bool:
    """A count of 0 is padding, which hides how long the answer is."""
    suffix, _, count = line.strip().partition(":")
    return suffix.upper() == rest and count.strip() not in ("", "0")

"""One server over HTTP: send a request, and turn what is not an answer into a failure."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx

from gateway.cli.client.failures import (
    CommandError,
    InputError,
    NotLoggedInError,
    RefusedError,
    UnreachableError,
)

SECONDS = 30.0
BUILD_SECONDS = 300.0  # dependencies that nobody had before take minutes
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_HINTS = {
    "name_taken": "Deploy a new version of it with --api NAME, or choose another --name.",
    "nothing_to_roll_back": "Deploy another version first.",
    "secret_host_not_allowed": "`sandgate egress API --allow HOST` allows it.",
    "secret_not_found": "`sandgate secret list API` lists what there is.",
    "tier_unavailable": "`sandgate doctor` on the server says what is missing.",
    "tenant_not_found": "`sandgate tenants list` shows yours.",
    "last_owner": "`sandgate members role TENANT MEMBER owner` makes another one.",
    "insufficient_aal": "Sign in with the code of your second factor: `sandgate login`.",
    "mfa_verification_failed": "Wait for the next code of your app and sign in again.",
    "invalid_credentials": "Check e-mail and password.",
}
_HINTS_BY_STATUS = {
    403: "`sandgate whoami` shows who is signed in.",
    404: "`sandgate apis` lists what there is.",
    409: "Look at it with `sandgate apis`.",
    413: "Make it smaller.",
    422: "Correct it and try again.",
}


def checked_url(text: str) -> str:
    """A server's address, without a slash at its end."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port  # both are checked when they are read
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise InputError(f"{text} is not an address", "Write it like http://127.0.0.1:8000.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InputError(f"{text} has more than an address in it", "Leave out all but the address.")
    return text.rstrip("/")


def is_plain_and_remote(url: str) -> bool:
    """Whether a password sent there could be read on the way."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in _LOOPBACK


class Server:
    """A Sandgate at one address. Use as a context manager."""

    def __init__(self, url: str) -> None:
        self.url = url
        # a proxy of the environment must not stand between us and this very machine
        self._http = httpx.Client(trust_env=urlsplit(url).hostname not in _LOOPBACK)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, object] | None = None,
        raw: bytes | None = None,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = SECONDS,
    ) -> httpx.Response:
        """The answer, whatever its status. Redirects are not followed: the token stays here."""
        own = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            return self._http.request(
                method,
                self.url + path,
                json=json,
                content=raw,
                headers={**(headers or {}), **own},
                timeout=httpx.Timeout(seconds, connect=10),
            )
        except httpx.ReadTimeout as error:
            raise UnreachableError(
                f"{self.url} did not answer within {seconds:g} seconds",
                "It may still be at work: look with `sandgate apis`.",
            ) from error
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise self._away(error) from error

    @contextmanager
    def streaming(self, path: str, token: str, seen: int) -> Iterator[Iterator[str]]:
        """Lines of an event stream as they come; UnreachableError when it breaks off."""
        headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
        if seen:
            headers["Last-Event-ID"] = str(seen)
        timeout = httpx.Timeout(SECONDS, connect=10)
        try:
            with self._http.stream(
                "GET", self.url + path, headers=headers, timeout=timeout
            ) as response:
                if not response.is_success:
                    response.read()
                    content(response)  # raises what it stands for
                yield response.iter_lines()
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise self._away(error) from error

    def _away(self, error: Exception) -> UnreachableError:
        return UnreachableError(
            f"{self.url} does not answer ({error})",
            "Start it with `sandgate serve`, or sign in elsewhere with `sandgate login --url`.",
        )


def content(response: httpx.Response) -> dict[str, Any]:
    """JSON of a good answer, {} of an empty one; anything else is raised. `Any`: it is JSON."""
    if response.is_success and not response.content:
        return {}
    try:
        document = response.json()
    except ValueError:
        document = None
    if response.is_success and isinstance(document, dict):
        return document
    if response.is_success or not isinstance(document, dict):
        raise unlike_sandgate(f"{response.url} (status {response.status_code})")
    raise refusal(response, document)


def unlike_sandgate(url: str) -> RefusedError:
    """Something else answers there."""
    return RefusedError(
        f"{url} does not answer like Sandgate",
        "Check the address given to `sandgate login --url`.",
    )


def refusal(response: httpx.Response, document: Mapping[str, Any]) -> CommandError:
    """The failure that an error answer stands for. `Any`: its JSON."""
    if response.status_code == 401:
        return NotLoggedInError(_text(document) or "The session has ended")
    return RefusedError(
        _text(document) or f"The server answered {response.status_code}",
        _hint(response, document),
        _as_problem(response, document),
    )


def _text(document: Mapping[str, Any]) -> str:
    """The public text: problem documents, and the two shapes of the issuer."""
    for member in ("detail", "msg", "message", "error_description", "title"):
        if isinstance(document.get(member), str) and document[member]:
            return str(document[member]) + _mistakes(document)
    return ""


def _mistakes(document: Mapping[str, Any]) -> str:
    """Which fields were refused, when the text does not say so itself."""
    errors = document.get("errors")
    if not isinstance(errors, list):
        return ""
    said = [f"{e.get('field')}: {e.get('detail')}" for e in errors if isinstance(e, dict)]
    return f" ({'; '.join(said)})" if said else ""


def _hint(response: httpx.Response, document: Mapping[str, Any]) -> str:
    retry_after = response.headers.get("retry-after", "")
    if retry_after.isdecimal():
        return f"Try again in {retry_after} s."
    if response.status_code >= 500:
        request_id = document.get("request_id") or response.headers.get("x-request-id", "-")
        return f"Look for request {request_id} in the server's log."
    code = str(document.get("error_code") or document.get("code"))
    return _HINTS.get(code) or _HINTS_BY_STATUS.get(response.status_code, "")


def _as_problem(response: httpx.Response, document: Mapping[str, Any]) -> dict[str, Any]:
    """The issuer has shapes of its own; machines that read us get one."""
    if "title" in document:
        return dict(document)
    return {
        "type": "about:blank",
        "title": response.reason_phrase,
        "status": response.status_code,
        "code": document.get("error_code") or document.get("code") or "refused",
        "detail": _text(document),
    }

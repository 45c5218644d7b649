"""A signed-in session: sign in, stay signed in, send requests as that person, sign out."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx

from gateway.cli.client.credentials import Credentials, CredentialsFile
from gateway.cli.client.failures import CommandError, NotLoggedInError
from gateway.cli.client.second_factor import AskCode, confirmed
from gateway.cli.client.server import SECONDS, Server, content, unlike_sandgate

Item = TypeVar("Item")
PAGE = 200
_TOKEN = "/auth/v1/token?grant_type="  # noqa: S105 - a path
_LOGOUT = "/auth/v1/logout?scope=local"  # this session, not those on other machines


class Session:
    """Requests as the person who signed in."""

    def __init__(self, server: Server, file: CredentialsFile, credentials: Credentials) -> None:
        self._server = server
        self._file = file
        self._credentials = credentials

    @property
    def url(self) -> str:
        """The server's address."""
        return self._server.url

    def call(
        self,
        method: str,
        path: str,
        json: Mapping[str, object] | None = None,
        seconds: float = SECONDS,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """JSON of a good answer, {} of an empty one. `Any`: it is JSON."""
        return content(self._asked(method, path, json, headers or {}, seconds))

    def upload(self, path: str, file: bytes, seconds: float = SECONDS) -> dict[str, Any]:
        """Send a file; JSON of a good answer. `Any`: it is JSON."""
        return content(self._asked("POST", path, None, {}, seconds, file))

    def text(self, path: str, seconds: float = SECONDS) -> str:
        """A good answer as it came."""
        return self._good(path, seconds).text

    def content(self, path: str, seconds: float = SECONDS) -> bytes:
        """The bytes of a good answer."""
        return self._good(path, seconds).content

    def _good(self, path: str, seconds: float) -> httpx.Response:
        response = self._asked("GET", path, None, {}, seconds)
        if not response.is_success:
            content(response)  # raises what it stands for
        return response

    def lines(
        self, path: str, seen: int, read: Callable[[Iterator[str]], Iterator[Item]]
    ) -> Iterator[Item]:
        """What `read` makes of the lines of an event stream, behind the event of this number."""
        if self._credentials.has_expired(time.time()):
            self._refresh()
        with self._server.streaming(path, self._credentials.access_token, seen) as lines:
            yield from read(lines)

    def _asked(
        self,
        method: str,
        path: str,
        json: Mapping[str, object] | None,
        headers: Mapping[str, str],
        seconds: float,
        raw: bytes | None = None,
    ) -> httpx.Response:
        if self._credentials.has_expired(time.time()):
            self._refresh()
        response = self._sent(method, path, json, headers, seconds, raw)
        if response.status_code == 401:
            self._refresh()
            response = self._sent(method, path, json, headers, seconds, raw)
        return response

    def _sent(
        self,
        method: str,
        path: str,
        json: Mapping[str, object] | None,
        headers: Mapping[str, str],
        seconds: float,
        raw: bytes | None,
    ) -> httpx.Response:
        token = self._credentials.access_token
        return self._server.send(
            method, path, json=json, raw=raw, token=token, headers=headers, seconds=seconds
        )

    def items(self, path: str) -> list[dict[str, Any]]:
        """A whole list, page by page. `Any`: JSON."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.call("GET", f"{path}?limit={PAGE}&offset={len(found)}").get("items")
            if not isinstance(page, list):
                raise unlike_sandgate(self.url)
            found += page
            if len(page) < PAGE:
                return found

    def _refresh(self) -> None:
        """A new access token; the one another command has fetched meanwhile when there is one."""
        with self._file.locked():
            stored = self._file.load()
            if stored is None or stored.url != self.url:
                raise NotLoggedInError
            if stored.access_token == self._credentials.access_token:
                stored = self._exchange(stored)
                self._file.save(stored)
            self._credentials = stored

    def _exchange(self, old: Credentials) -> Credentials:
        response = self._server.send(
            "POST", f"{_TOKEN}refresh_token", json={"refresh_token": old.refresh_token}
        )
        if response.status_code in (400, 401, 403):
            raise NotLoggedInError("Your session has ended")
        return _credentials(self.url, old.email, content(response))


@contextmanager
def signed_in() -> Iterator[Session]:
    """The session of the last `sandgate login`."""
    file = CredentialsFile()
    credentials = file.load()
    if credentials is None:
        raise NotLoggedInError
    with Server(credentials.url) as server:
        yield Session(server, file, credentials)


def sign_in(url: str, email: str, password: str, ask_code: AskCode) -> Credentials:
    """Sign in, with both factors where there are two, and keep the session."""
    file = CredentialsFile()
    with Server(url) as server:
        response = server.send(
            "POST", f"{_TOKEN}password", json={"email": email, "password": password}
        )
        answer = confirmed(server, content(response), ask_code)
        credentials = _credentials(url, email, answer)
    file.save(credentials)
    return credentials


def sign_out() -> bool:
    """End the session here and on the server; whether the server knows."""
    file = CredentialsFile()
    credentials = file.load()
    if credentials is None:
        return True
    try:
        with Server(credentials.url) as server:
            Session(server, file, credentials).call("POST", _LOGOUT)
        is_known = True
    except NotLoggedInError:
        is_known = True  # it had ended already
    except CommandError:
        is_known = False
    file.remove()
    return is_known


def _credentials(url: str, email: str, answer: Mapping[str, Any]) -> Credentials:
    """From the issuer's answer. `Any`: it is JSON."""
    try:
        return Credentials(
            url=url,
            email=str((answer.get("user") or {}).get("email") or email),
            access_token=str(answer["access_token"]),
            refresh_token=str(answer["refresh_token"]),
            expires_at=time.time() + float(answer["expires_in"]),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise unlike_sandgate(url) from error

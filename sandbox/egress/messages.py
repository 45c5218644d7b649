"""What of a request goes on to the host, and what of its answer comes back. Pure."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import h11

from sandbox.egress.hosts import BadHostError, Host, split
from sandbox.egress.refusals import Code, RefusedError

Headers = list[tuple[bytes, bytes]]

_HOP = frozenset(
    {b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
_FRAMING = frozenset({b"content-length", b"host"})  # never dropped because Connection names them
HTTP_PORT, TLS_PORT = 80, 443


@dataclass(frozen=True, slots=True)
class Target:
    """Where one request goes."""

    host: Host
    port: int
    path: bytes
    default_port: int

    @property
    def host_header(self) -> bytes:
        """As the host expects to be called."""
        name = f"[{self.host}]" if ":" in self.host.name else self.host.name
        return (name if self.port == self.default_port else f"{name}:{self.port}").encode("ascii")


def connect_target(request: h11.Request) -> tuple[Host, int]:
    """Host and port of a CONNECT request."""
    return _split(request.target.decode("ascii"), None)


def plain_target(request: h11.Request) -> Target:
    """Of `GET http://host/path`; the Host header must say the same."""
    text = request.target.decode("ascii")
    url = _url(text)
    if url.scheme.lower() != "http" or not text[4:].startswith("://"):
        raise RefusedError(Code.BAD_REQUEST, "write http://host/path, or CONNECT host:port")
    host, port = _split(url.netloc, HTTP_PORT)
    _same_host(request, host, port, HTTP_PORT)
    path = text[len("http://") + len(url.netloc) :].partition("#")[0]
    path = path if path.startswith("/") else "/" + path
    return Target(host, port, path.encode("ascii"), HTTP_PORT)


def inner_target(request: h11.Request, host: Host, port: int) -> Target:
    """Of a request inside a tunnel to this host; it must not name another one."""
    if not request.target.startswith(b"/") and request.target != b"*":
        raise RefusedError(Code.BAD_REQUEST, "the request inside the tunnel needs a path")
    _same_host(request, host, port, TLS_PORT)
    return Target(host, port, bytes(request.target), TLS_PORT)


def _url(text: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError as error:
        raise RefusedError(Code.BAD_REQUEST, "not a URL") from error


def _split(authority: str, default_port: int | None) -> tuple[Host, int]:
    try:
        return split(authority, default_port)
    except BadHostError as error:
        raise RefusedError(Code.BAD_REQUEST, str(error)) from error


def _same_host(request: h11.Request, host: Host, port: int, default_port: int) -> None:
    named = [value for name, value in request.headers if name == b"host"]
    if len(named) > 1:
        raise RefusedError(Code.BAD_REQUEST, "more than one Host")
    for value in named:
        try:
            text = value.decode("ascii")
        except UnicodeDecodeError as error:
            raise RefusedError(Code.BAD_REQUEST, "not a host name") from error
        if _split(text, default_port) != (host, port):
            raise RefusedError(Code.BAD_REQUEST, "Host names another host than the request")


def outgoing(request: h11.Request, target: Target, swaps: Mapping[bytes, bytes]) -> h11.Request:
    """The request as the host gets it: one a connection, no word to proxies, secrets put in."""
    _one_length(request)
    if swaps and request.method.upper() == b"TRACE":
        raise RefusedError(Code.BAD_REQUEST, "TRACE would show what was put in")
    headers = [
        (name, _swapped(value, swaps))
        for name, value in _kept(request.headers)
        if name != b"host" and not name.startswith(b"proxy-")
    ]
    headers.insert(0, (b"host", target.host_header))
    headers.append((b"connection", b"close"))
    if _has(request.headers, b"transfer-encoding"):
        headers.append((b"transfer-encoding", b"chunked"))
    try:
        return h11.Request(method=request.method, target=target.path, headers=headers)
    except h11.LocalProtocolError as error:  # nothing of its text: it may show a secret
        raise RefusedError(Code.BAD_REQUEST, "a header cannot be passed on") from error


def returning(response: h11.Response) -> h11.Response:
    """The answer as the sandbox gets it."""
    headers = [
        (name, value)
        for name, value in _kept(response.headers)
        if not (name == b"content-length" and _has(response.headers, b"transfer-encoding"))
    ]
    headers.append((b"connection", b"close"))
    return h11.Response(
        status_code=response.status_code, reason=bytes(response.reason), headers=headers
    )


def _one_length(request: h11.Request) -> None:
    """Two ways to say where the body ends are one too many."""
    if _has(request.headers, b"transfer-encoding") and (
        _has(request.headers, b"content-length") or request.http_version < b"1.1"
    ):
        raise RefusedError(Code.BAD_REQUEST, "two lengths of one body")


def _kept(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Without headers that are about this connection only."""
    listed = list(headers)
    named = {
        token.strip().lower()
        for name, value in listed
        if name == b"connection"
        for token in value.split(b",")
    }
    dropped = _HOP | (named - _FRAMING)
    return [(name, value) for name, value in listed if name not in dropped]


def _has(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> bool:
    return any(name == wanted for name, _ in headers)


def _swapped(value: bytes, swaps: Mapping[bytes, bytes]) -> bytes:
    """A header's value with the secrets in the places of their placeholders.

    Also inside `Basic` credentials, where the placeholder is not to be seen as such.
    """
    for text, secret in swaps.items():
        value = value.replace(text, secret)
    scheme, _, credentials = value.partition(b" ")
    if swaps and scheme.lower() == b"basic":
        try:
            clear = base64.b64decode(credentials.strip(), validate=True)
        except binascii.Error:
            return value
        swapped = clear
        for text, secret in swaps.items():
            swapped = swapped.replace(text, secret)
        if swapped != clear:
            return scheme + b" " + base64.b64encode(swapped)
    return value

"""Addresses and cookies in answers of apps that do not know they live under `/<api>`. Pure.

An app that heeds its root path already names addresses below it: they are left as they are.
What an app names without it is put below it. Addresses on other hosts and relative ones mean
the same with and without a root path.
"""

import re

from gateway.proxy.cookies import confined
from gateway.proxy.head import TOUCHED
from gateway.proxy.headers import Field, is_caged

_ADDRESSES = frozenset({b"location", b"content-location"})
_ABSOLUTE = re.compile(rb"(?P<scheme>https?):[/\\]{2}(?P<authority>[^/\\?#]*+)", re.IGNORECASE)
_REFRESH = re.compile(
    rb"(?P<before>[0-9. \t]*+[;,][ \t]*+(?:url[ \t]*+=[ \t]*+)?)(?P<quote>['\"]?)(?P<url>.*)",
    re.IGNORECASE | re.DOTALL,
)
_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}
# a browser takes these away wherever they stand, before it looks at anything else
_INVISIBLE = b"\t\r\n"


def mapped(headers: list[Field], root: bytes, host: bytes = b"") -> list[Field]:
    """The same headers with addresses and cookies under `root`; `host` is the caller's Host.

    An empty root is an origin of the API's own: addresses hold there as they are, pages need
    no cage, and cookies only lose their `Domain`, which would reach sibling origins.
    """
    if not root:
        return _on_own_origin(headers)
    if not any(name in TOUCHED for name, _ in headers):
        return headers
    result: list[Field] = []
    for field in headers:
        name, value = field
        if name in _ADDRESSES:
            result.append((name, _address(value, root, host)))
        elif name == b"refresh":
            result.append((name, _refresh(value, root, host)))
        elif name == b"set-cookie":
            cookie = confined(value, root)
            if cookie is not None:
                result.append((name, cookie))
        else:
            result.append(field)
    return result


def _on_own_origin(headers: list[Field]) -> list[Field]:
    result: list[Field] = []
    for field in headers:
        if field[0] == b"set-cookie":
            cookie = confined(field[1], b"")
            if cookie is not None:
                result.append((field[0], cookie))
        elif not is_caged(field):
            result.append(field)
    return result


def _address(value: bytes, root: bytes, host: bytes) -> bytes:
    """One address: an absolute path, or a whole one on our host, goes under the root."""
    seen = value.strip(b" \t").translate(None, _INVISIBLE)
    if seen[:1] in (b"/", b"\\"):
        if seen[1:2] not in (b"/", b"\\"):
            return _under(seen, root)
        authority = re.split(rb"[/\\?#]", seen[2:], maxsplit=1)[0]
        if not _is_ours(authority, b"", host):
            return value
        return b"//" + authority + _under(seen[2 + len(authority) :], root)
    found = _ABSOLUTE.match(seen)
    if found is None or not _is_ours(found["authority"], found["scheme"].lower(), host):
        return value
    return found["scheme"] + b"://" + found["authority"] + _under(seen[found.end() :], root)


def _refresh(value: bytes, root: bytes, host: bytes) -> bytes:
    """`5; url=/path`; without an address it is this page again."""
    found = _REFRESH.fullmatch(value)
    if found is None or not found["url"]:
        return value
    url, quote = found["url"], found["quote"]
    if quote:
        url, end, _ = url.partition(quote)
        return found["before"] + quote + _address(url, root, host) + (end or quote)
    return found["before"] + _address(url, root, host)


def _is_ours(authority: bytes, scheme: bytes, host: bytes) -> bool:
    if not host:
        return False
    ours, theirs = host.lower(), authority.lower()
    ports = [_DEFAULT_PORTS[scheme]] if scheme else list(_DEFAULT_PORTS.values())
    return ours == theirs or any(
        ours.removesuffix(port) == theirs.removesuffix(port) for port in ports
    )


def _under(rest: bytes, root: bytes) -> bytes:
    """Path, query and fragment below the root, as a browser would resolve them."""
    cut = min((at for mark in (b"?", b"#") if (at := rest.find(mark)) >= 0), default=len(rest))
    path, tail = _resolved(rest[:cut]), rest[cut:]
    if path == root or path.startswith(root + b"/"):
        return path + tail
    return root + path + tail


def _resolved(path: bytes) -> bytes:
    """Without dot segments in any spelling, which would lead out of the root again."""
    path = path.replace(b"\\", b"/")
    if b"/." not in path and b"/%2" not in path.lower():
        return path if path.startswith(b"/") else b"/" + path
    kept: list[bytes] = []
    segments = path.split(b"/")[1:]
    for at, segment in enumerate(segments):
        dots = re.sub(rb"%2e", b".", segment, flags=re.IGNORECASE)
        is_last = at == len(segments) - 1
        if dots == b"..":
            del kept[-1:]
        elif dots != b".":
            kept.append(segment)
            continue
        if is_last:
            kept.append(b"")
    return b"/" + b"/".join(kept)

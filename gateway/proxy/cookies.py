"""Cookies on the origin that all APIs share with the gateway. Pure.

A cookie of an API is confined to the API's own paths, on this host alone. Cookies of the
gateway itself, all named `sandgate…`, neither come from a sandbox nor reach one.
"""

OWN = b"sandgate"  # with `_` or `-` behind it, and behind `__Host-` or another such prefix

_SPACE = b" \t"
_PREFIXES = (b"__host-http-", b"__host-", b"__secure-", b"__http-")
# Browsers keep these for Path=/ alone, which on a shared origin would be every API's.
_FOR_WHOLE_HOSTS = (b"__host-", b"__host-http-")
_MAX_ATTRIBUTE = 1024  # browsers overlook a longer one, and would fall back to a default


def is_own(name: bytes) -> bool:
    """Whether the gateway itself may have set this cookie; servers differ about case and space."""
    bare = name.strip(_SPACE).strip(b'"').lower()
    for prefix in _PREFIXES:
        if bare.startswith(prefix):
            bare = bare[len(prefix) :]
            break
    return bare.startswith(OWN)


def without_own(value: bytes) -> bytes:
    """A Cookie header as a sandbox may see it; byte for byte the same unless one is ours."""
    if OWN not in value.lower():
        return value
    pairs = value.split(b";")
    return b";".join(pair for pair in pairs if not is_own(pair.partition(b"=")[0])).strip(_SPACE)


def confined(value: bytes, root: bytes) -> bytes | None:
    """A Set-Cookie header that holds for `root` and below; None when it cannot be let through.

    Refused are nameless cookies (a browser sends `=sandgate_x=1` back as `sandgate_x=1`),
    names of ours, `__Host-` names, and control characters. Without a root, which is an origin
    of the API's own, only `Domain` is taken away.
    """
    pair, *attributes = value.split(b";")
    name, equals, _ = pair.partition(b"=")
    name = name.strip(_SPACE)
    if not name or not equals or is_own(name) or _has_controls(value):
        return None
    if root and name.lower().startswith(_FOR_WHOLE_HOSTS):
        return None
    path = b""
    kept = [pair]
    for attribute in attributes:
        told, _, argument = attribute.partition(b"=")
        told = told.strip(_SPACE).lower()
        if told == b"path" and root:
            path = argument.strip(_SPACE)  # the last one holds
        elif told != b"domain":
            kept.append(attribute)
    if root:
        kept.append(b" Path=" + _path_under(root, path))
    return b";".join(kept)


def _path_under(root: bytes, path: bytes) -> bytes:
    """Where nothing, or nothing of use, was told: the whole of the API."""
    if not path.startswith(b"/") or path == b"/":
        return root
    if path != root and not path.startswith(root + b"/"):
        path = root + path
    return path if len(path) <= _MAX_ATTRIBUTE else root


def _has_controls(value: bytes) -> bool:
    return any((byte < 0x20 and byte != 0x09) or byte == 0x7F for byte in value)

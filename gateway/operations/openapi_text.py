"""Reads what an app says of itself as hostile text: bounded, cleaned, made anew. Pure."""

import json
import math
from typing import Any, NoReturn

from gateway.store.documents import StoredDocument

MOST_BYTES = 512 * 1024
MOST_DEPTH = 48
MOST_VALUES = 60_000
_KEPT = (
    "openapi",
    "info",
    "jsonSchemaDialect",
    "paths",
    "webhooks",
    "components",
    "security",
    "tags",
    "externalDocs",
)
# these would send who reads the document, or a program that does, to another place
_POINTERS = frozenset({"$id", "$schema", "$dynamicRef", "$recursiveRef", "operationRef"})

Json = dict[str, Any]  # `Any`: JSON


class _RefusedError(Exception):
    """The text is no document that is kept; the message says why, for its owner."""


def read_document(text: str) -> StoredDocument:
    """The document as it may be stored, or the reason why there is none."""
    try:
        return StoredDocument(_document(text))
    except _RefusedError as error:
        return StoredDocument(None, f"the app's document was not kept: {error}")


def _document(text: str) -> Json:
    if len(text.encode("utf-8", "replace")) > MOST_BYTES:
        raise _RefusedError(f"it is larger than {MOST_BYTES // 1024} KiB")
    try:
        found = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise _RefusedError("it is not JSON") from None
    if not isinstance(found, dict):
        raise _RefusedError("it is no JSON object")
    version = found.get("openapi")
    if not isinstance(version, str) or not version.startswith("3."):
        raise _RefusedError("it is not OpenAPI 3")
    if not isinstance(found.get("info"), dict) or not isinstance(found.get("paths", {}), dict):
        raise _RefusedError("`info` and `paths` of an OpenAPI document are objects")
    document: Json = _Cleaner().value({k: found[k] for k in _KEPT if k in found}, MOST_DEPTH)
    document.setdefault("paths", {})
    _forget_servers(document)
    return document


def _no_number(_: str) -> NoReturn:
    raise ValueError("NaN and infinities are no JSON")


class _Cleaner:
    """Copies values and counts them."""

    def __init__(self) -> None:
        self._left = MOST_VALUES

    def value(self, value: Any, depth: int) -> Any:
        """The same, without what is not kept."""
        self._left -= 1
        if self._left < 0:
            raise _RefusedError(f"it has more than {MOST_VALUES} values")
        if isinstance(value, str):
            return _text(value)
        if isinstance(value, float) and not math.isfinite(value):
            raise _RefusedError("it has a number without end")
        if not isinstance(value, dict | list):
            return value
        if depth == 0:
            raise _RefusedError(f"it is nested deeper than {MOST_DEPTH}")
        if isinstance(value, list):
            return [self.value(one, depth - 1) for one in value]
        kept = ((name, one) for name, one in value.items() if not _leads_away(name, one))
        return {_text(name): self.value(one, depth - 1) for name, one in kept}


def _leads_away(name: str, value: object) -> bool:
    if not isinstance(value, str):
        return False  # a field that only has such a name
    return name in _POINTERS or (name == "$ref" and not value.startswith("#/"))


def _text(text: str) -> str:
    """What Postgres can hold and UTF-8 can carry."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _forget_servers(document: Json) -> None:
    """The one address of the API is told where the document is served."""
    components = document.get("components")
    shared = components.get("pathItems") if isinstance(components, dict) else None
    for items in (document["paths"], document.get("webhooks"), shared):
        for item in items.values() if isinstance(items, dict) else ():
            for holder in (item, *item.values()) if isinstance(item, dict) else ():
                if isinstance(holder, dict):
                    holder.pop("servers", None)

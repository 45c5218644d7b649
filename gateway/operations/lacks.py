"""What an API's description lacks that callers usually want. Pure; the description is hostile."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_METHODS = frozenset({"get", "post", "put", "patch", "delete"})
_PAGING = frozenset({"limit", "page", "offset", "after", "cursor", "per_page", "page_size"})
_SEARCHING = frozenset({"q", "query", "search", "filter", "text"})
_PATHS = 200
_PATH_CHARACTERS = 120

Json = Mapping[str, Any]  # of a document that a stranger wrote


@dataclass(frozen=True, slots=True)
class Lack:
    """What could be added, as a title and as one would ask for it."""

    title: str
    prompt: str


def lacks_of(document: Json) -> list[Lack]:
    """The most useful first; the same document, the same list."""
    paths = _paths(document)
    rules = (_reads, _removals, _changes, _pages, _searches, _batches, _summaries)
    found = [lack for rule in rules for lack in rule(paths)]
    return list(dict.fromkeys(found))


def _reads(paths: dict[str, dict[str, Json]]) -> Iterator[Lack]:
    """Things that can be made and not listed."""
    for path, operations in _collections(paths):
        if "post" in operations and "get" not in operations and _single(paths, path):
            yield Lack("List them", f"Add GET {path} that lists what was stored, in pages")


def _removals(paths: dict[str, dict[str, Json]]) -> Iterator[Lack]:
    for path, operations in _collections(paths):
        single = _single(paths, path)
        if "post" in operations and single and "delete" not in paths[single]:
            yield Lack("Delete them", f"Add DELETE {single} that answers 404 when it is not there")


def _changes(paths: dict[str, dict[str, Json]]) -> Iterator[Lack]:
    for path, operations in _collections(paths):
        single = _single(paths, path)
        if "post" in operations and single and not {"put", "patch"} & paths[single].keys():
            yield Lack("Change them", f"Add PATCH {single} that changes only what was sent")


def _pages(paths: dict[str, dict[str, Json]]) -> Iterator[Lack]:
    for path, operations in _collections(paths):
        if "get" in operations and _single(paths, path) and not _named(operations["get"], _PAGING):
            yield Lack("Pages", f"Let GET {path} answer in pages, with limit and after")


def _searches(paths: dict[str, dict[str, Json]]) -> Iterator[Lack]:
    for path, operations in _collections(paths):
        known = _named(operations.get("get", {}), _SEARCHING)
        if "get" in operations and _single(paths, path) and not known:
            yield Lack("Search", f"Let GET {path} take q, a text that answers must contain")


def _batches(paths: dict[str, dict[str, Json]]) -> Iterator[Lack]:
    for path, operations in _collections(paths):
        if "post" in operations and _single(paths, path) and f"{path}/batch" not in paths:
            yield Lack("Many at once", f"Add POST {path}/batch that stores up to 100 in one call")


def _summaries(paths: dict[str, dict[str, Json]]) -> Iterator[Lack]:
    for path, operations in paths.items():
        for method, operation in operations.items():
            if not (operation.get("description") or operation.get("summary")):
                yield Lack("Say what it does", f"Describe {method.upper()} {path} in one sentence")
                return


def _collections(paths: dict[str, dict[str, Json]]) -> Iterator[tuple[str, dict[str, Json]]]:
    """Paths that do not end with a parameter."""
    return ((path, found) for path, found in paths.items() if not path.endswith("}"))


def _single(paths: dict[str, dict[str, Json]], path: str) -> str | None:
    """The path of one thing of a collection."""
    stem = path.rstrip("/") + "/{"
    return next(
        (one for one in paths if one.startswith(stem) and one.count("/") == stem.count("/")), None
    )


def _named(operation: Json, names: frozenset[str]) -> bool:
    parameters = operation.get("parameters")
    found = parameters if isinstance(parameters, list) else []
    return any(isinstance(one, dict) and one.get("name") in names for one in found)


def _paths(document: Json) -> dict[str, dict[str, Json]]:
    """Operations by path and method, as far as the document has the shape of one."""
    paths = document.get("paths")
    if not isinstance(paths, dict):
        return {}
    plain = {
        path: _operations(operations)
        for path, operations in list(paths.items())[:_PATHS]
        if isinstance(operations, dict) and len(path) <= _PATH_CHARACTERS and path.isprintable()
    }
    return {path: operations for path, operations in plain.items() if operations}


def _operations(found: Json) -> dict[str, Json]:
    return {
        method: operation
        for method, operation in found.items()
        if method in _METHODS and isinstance(operation, dict)
    }

"""Input that is taken without a bound."""

import ast
from collections.abc import Iterator

from generator.scan.subject import Subject, found, words
from generator.types import Finding

RULES = {
    "unbounded_decompression": "Unpacking without a bound on what comes out.",
    "unbounded_read": "Reading an upload, a body or a stream whole, without a size.",
}
_UNPACKERS = words(
    """zlib.decompress gzip.decompress bz2.decompress lzma.decompress gzip.open gzip.GzipFile"""
)
_READERS = frozenset({"body", "stream"})


def check(subject: Subject) -> Iterator[Finding]:
    """Calls that unpack or read."""
    for call in subject.of(ast.Call):
        name = subject.dotted(call.func)
        method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if name in _UNPACKERS or method in {"extractall", "extract"}:
            text = "what comes out may be huge; use zlib.decompressobj with max_length"
            yield found("unbounded_decompression", text, call)
        elif method == "read" and not call.args and not call.keywords and _awaited(subject, call):
            yield found("unbounded_read", "say how much: read(size)", call, warning=True)
        elif name.startswith("request.") and method in _READERS:
            text = "describe the body with a model, so that it has bounds"
            yield found("unbounded_read", text, call, warning=True)


def _awaited(subject: Subject, call: ast.Call) -> bool:
    return isinstance(subject.parents.get(call), ast.Await)

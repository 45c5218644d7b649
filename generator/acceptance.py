"""A contract's examples as acceptance cases: what is sent, and whether the answer is it. Pure.

Bodies that are not JSON: a form's is an object of its fields, a file in it an object with
`filename`, `content_type` and `text` or `base64`; any other is a text or {"base64": "…"}.
"""

import base64
import binascii
import json
import math
from collections.abc import Iterator, Mapping
from urllib.parse import quote, urlencode

from generator import schemas
from generator.calls import Reply, Request
from generator.contract import Contract, Example, Json, Operation
from generator.example_faults import pointed
from generator.examples import filled, filled_path, is_json
from generator.texts import BadJsonError, cleaned, quoted

Kept = Mapping[str, Json]
_BOUNDARY = "sandgate-7c1f0e5a"
_PLAIN = "/-._~!$&'()*+,;=:@%"
_UNREACHED = frozenset({502, 503, 504})


def examples(contract: Contract) -> Iterator[tuple[Operation, Example]]:
    """All examples in the order in which they run."""
    for operation in contract.operations:
        for example in operation.examples:
            yield operation, example


def request_of(operation: Operation, example: Example, kept: Kept) -> Request:
    """What an example sends."""
    query = urlencode({name: _text(filled(text, kept)) for name, text in example.query.items()})
    path = quote(filled_path(example.path, kept), safe=_PLAIN)
    headers = {name: str(filled(text, kept)) for name, text in example.headers.items()}
    body, media_type = None, ""
    if example.body is not None:
        body, media_type = body_of(operation.body_type, filled(example.body, kept))
    if media_type and "content-type" not in {name.lower() for name in headers}:
        headers["Content-Type"] = media_type
    target = f"{path}?{query}" if query else path
    return Request(operation.method, target, tuple(headers.items()), body)


def body_of(media_type: str, value: Json) -> tuple[bytes, str]:
    """The bytes of a body and their whole media type."""
    if is_json(media_type):
        return json.dumps(value).encode(), media_type
    if media_type.startswith("multipart/form-data") and isinstance(value, dict):
        return _multipart(value), f"multipart/form-data; boundary={_BOUNDARY}"
    if media_type.startswith("application/x-www-form-urlencoded") and isinstance(value, dict):
        return urlencode({name: _text(one) for name, one in value.items()}).encode(), media_type
    return _raw(value), media_type


def mismatch(operation: Operation, example: Example, reply: Reply, kept: Kept) -> str:
    """Why the answer is not the example's, in a sentence; empty when it is."""
    if example.needs_network and reply.status in _UNREACHED:
        return ""
    if reply.status != example.status:
        said = f", and said {quoted(cleaned(reply.text, 200), 240)}" if reply.body else ""
        return f"expected status {example.status}, got {reply.status}{said}"
    wanted = example.content_type.partition(";")[0].strip().lower()
    if wanted and reply.media_type != wanted:
        return f"expected content type {wanted}, got {quoted(reply.media_type)}"
    return _body_mismatch(operation, example, reply, kept)


def _body_mismatch(operation: Operation, example: Example, reply: Reply, kept: Kept) -> str:
    is_success = example.status == operation.status
    expected = filled(example.response, kept)
    if not is_json(operation.response_type) and is_success:
        if isinstance(expected, str) and expected not in reply.text:
            return f"expected {quoted(expected)} in the answer, got {quoted(reply.text, 200)}"
        return ""
    if expected is None and (operation.response is None or not is_success):
        return ""
    try:
        value = reply.json()
    except BadJsonError as error:
        return f"expected JSON, but {error}"
    why = "" if expected is None else unlike(expected, value)
    if not why and is_success and operation.response is not None:
        why = schemas.problem(value, schemas.inlined(operation.response))
        why = f"the answer does not hold to the response's schema: {why}" if why else ""
    return why


def unlike(expected: Json, actual: Json, place: str = "") -> str:
    """The first place where the expected part is not in what came; empty when all is."""
    where = f"at {place}: " if place else ""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for name, value in expected.items():
            if name not in actual:
                return f"{where}{quoted(name)} is missing"
            if why := unlike(value, actual[name], f"{place}/{name}"):
                return why
        return ""
    if isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            return f"{where}expected {len(expected)} items, got {len(actual)}"
        found = (
            unlike(one, other, f"{place}/{number}")
            for number, (one, other) in enumerate(zip(expected, actual, strict=True))
        )
        return next((why for why in found if why), "")
    return "" if _same(expected, actual) else (
        f"{where}expected {quoted(expected, 160)}, got {quoted(actual, 160)}"
    )  # fmt: skip


def _same(expected: Json, actual: Json) -> bool:
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    if isinstance(expected, int | float) and isinstance(actual, int | float):
        if isinstance(expected, int) and isinstance(actual, int):
            return expected == actual
        return _close(expected, actual)
    return type(expected) is type(actual) and bool(expected == actual)


def _close(expected: float, actual: float) -> bool:
    try:
        return math.isclose(expected, actual, rel_tol=1e-9, abs_tol=1e-12)
    except OverflowError:
        return False


def keep(example: Example, reply: Reply) -> dict[str, Json]:
    """What later examples may use; KeyError or BadJsonError when it is not in the answer."""
    if not example.keep:
        return {}
    value = reply.json()
    return {name: pointed(value, pointer) for name, pointer in example.keep.items()}


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _raw(value: Json) -> bytes:
    if isinstance(value, dict) and isinstance(value.get("base64"), str):
        try:
            return base64.b64decode(value["base64"], validate=True)
        except binascii.Error:
            return b""
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def _multipart(fields: Mapping[str, Json]) -> bytes:
    parts = []
    for name, value in fields.items():
        head = f'Content-Disposition: form-data; name="{_safe(name)}"'
        if isinstance(value, dict):
            file_name = _safe(str(value.get("filename", "file")))
            media_type = _safe(str(value.get("content_type", "application/octet-stream")))
            head += f'; filename="{file_name}"\r\nContent-Type: {media_type}'
            content = _raw(value.get("text", value))
        else:
            content = _text(value).encode()
        parts.append(f"--{_BOUNDARY}\r\n{head}\r\n\r\n".encode() + content + b"\r\n")
    return b"".join([*parts, f"--{_BOUNDARY}--\r\n".encode()])


def _safe(text: str) -> str:
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")

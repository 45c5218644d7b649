"""Makes the calls of `examples.json` one after the other and says what was not as expected.

Exported projects carry this file: their tests are the examples of the contract.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol
from urllib.parse import quote


class Answer(Protocol):
    """What is looked at of an answer."""

    status_code: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Any:
        """Its body as JSON."""
        ...


class Client(Protocol):
    """What makes the calls: a test client, or one for HTTP."""

    def request(self, method: str, url: str, **options: Any) -> Answer:
        """One call."""
        ...


def play(client: Client, operations: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Name and fault of each example, in their order; a fault of "" is none."""
    kept: dict[str, Any] = {}
    for operation in operations:
        for example in operation["examples"]:
            yield f"{operation['id']}: {example['name']}", _fault(client, operation, example, kept)


def _fault(
    client: Client, operation: dict[str, Any], example: dict[str, Any], kept: dict[str, Any]
) -> str:
    answer = _sent(client, operation, example, kept)
    if example["needs_network"] and answer.status_code in {502, 503}:
        return ""
    if answer.status_code != example["status"]:
        return f"answered {answer.status_code}, not {example['status']}: {answer.text[:300]}"
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if example["content_type"] and kind != example["content_type"].partition(";")[0]:
        return f"answered {kind}, not {example['content_type']}"
    if example["response"] is None and not example["keep"]:
        return ""
    content = answer.json()
    for name, pointer in example["keep"].items():
        kept[name] = _at(content, pointer)
    return difference(filled(example["response"], kept), content)


def _sent(
    client: Client, operation: dict[str, Any], example: dict[str, Any], kept: dict[str, Any]
) -> Answer:
    path, query = example["path"], filled(example["query"], kept)
    for name, value in kept.items():
        path = path.replace("{" + name + "}", quote(str(value), safe=""))
    headers, body = dict(example["headers"]), filled(example["body"], kept)
    options: dict[str, Any] = {}
    if body is not None and isinstance(body, str) and operation["body_type"] != "application/json":
        options["content"] = body.encode()
        headers.setdefault("content-type", operation["body_type"])
    elif body is not None:
        options["json"] = body
    return client.request(operation["method"], path, params=query, headers=headers, **options)


def filled(value: Any, kept: Mapping[str, Any]) -> Any:
    """The value with what was kept in the place of `{name}`."""
    if isinstance(value, str):
        for name, one in kept.items():
            if value == "{" + name + "}":
                return one
            value = value.replace("{" + name + "}", str(one))
    if isinstance(value, dict):
        return {name: filled(inner, kept) for name, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, kept) for inner in value]
    return value


def difference(wanted: Any, found: Any, where: str = "") -> str:
    """Why `found` has not everything of `wanted`; objects may have more, lists may not."""
    if wanted is None and not where:
        return ""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for name, inner in wanted.items():
            if name not in found:
                return f"{where}/{name} is missing"
            if fault := difference(inner, found[name], f"{where}/{name}"):
                return fault
        return ""
    if isinstance(wanted, bool) == isinstance(found, bool) and wanted == found:
        return ""
    return f"{where or '/'} is {json.dumps(found)[:200]}, not {json.dumps(wanted)[:200]}"


def _at(content: Any, pointer: str) -> Any:
    """What a JSON pointer leads to."""
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        content = content[int(name)] if isinstance(content, list) else content[name]
    return content

"""What is wrong with a contract, all of it at once, in sentences for whoever wrote it. Pure.

A contract may come from a model, from a person who changed it, or from a file: it is looked at
in the same way each time. Sentences are stable: the same contract gives the same ones.
"""

import ipaddress
import keyword
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from generator import schemas
from generator.contract import Contract, Location, Operation, Parameter, Storage
from generator.example_faults import example_faults
from generator.examples import is_json, parameters_in
from generator.texts import quoted

RESERVED = frozenset({"openapi.json", "docs", "redoc", "mcp"})  # first segments of paths
MAX_SIZE = 300_000  # characters of the contract as JSON
_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+|\{[A-Za-z_][A-Za-z0-9_]{0,63}\}")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LOCAL = frozenset({"localhost", "local", "internal", "localdomain", "onion", "invalid", "arpa"})
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]+/[a-z0-9.+-]+(; ?charset=[A-Za-z0-9-]+)?")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
# the platform's own, or those that say where a request ends
_NOT_HEADERS = frozenset(
    {"authorization", "connection", "content-length", "content-type", "cookie", "expect", "host",
     "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade", "x-api-key"}
)  # fmt: skip
_NO_BODY = frozenset({"GET", "DELETE"})


def faults_of(contract: Contract, dependencies: Collection[str]) -> tuple[str, ...]:
    """All faults; `dependencies` are the packages that may be used, by normal name."""
    found = [
        *shared_faults(contract.operations, contract.storage),
        *host_faults(contract.outbound_hosts),
        *dependency_faults(contract.dependencies, dependencies),
    ]
    for operation in contract.operations:
        found += operation_faults(operation)
    if len(contract.model_dump_json()) > MAX_SIZE:
        found.append(f"the contract is longer than {MAX_SIZE} characters")
    return tuple(dict.fromkeys(found))


def operation_faults(operation: Operation) -> Iterator[str]:
    """Of one operation and its examples."""
    for fault in (
        *_path_faults(operation),
        *_parameter_faults(operation),
        *_body_faults(operation),
        *_answer_faults(operation),
    ):
        yield f"operation {operation.id}: {fault}"
    if any(_schema_faults(operation)):
        for fault in _schema_faults(operation):
            yield f"operation {operation.id}: {fault}"
        return  # examples cannot be held against a schema that is none
    for number, example in enumerate(operation.examples, 1):
        for fault in example_faults(operation, example):
            yield f"operation {operation.id}, example {number} ({quoted(example.name)}): {fault}"


def shared_faults(operations: Sequence[Operation], storage: Storage) -> Iterator[str]:
    """Of all operations together: names, places, and what later examples rely on."""
    for identifier, times in Counter(one.id for one in operations).items():
        if times > 1:
            yield f"the operation id {identifier} is there {times} times"
    places = Counter(f"{one.method} {_shape(one.path)}" for one in operations)
    for place, times in places.items():
        if times > 1:
            yield f"{times} operations share {place}; the names of parameters tell none apart"
    kept: set[str] = set()
    for operation in operations:
        for example in operation.examples:
            path = set(parameters_in(example.path))
            unknown = sorted(path - kept)
            if unknown:
                yield (
                    f"operation {operation.id}, example {quoted(example.name)}: {{{unknown[0]}}} "
                    "in its path was not kept by an earlier example; paths are filled in"
                )
            if path & kept and storage is Storage.NONE:
                yield (
                    f"operation {operation.id}, example {quoted(example.name)} reads what an "
                    "earlier one stored, so storage must be kv"
                )
            kept |= example.keep.keys()


def host_faults(hosts: Sequence[str]) -> Iterator[str]:
    """Hosts are names of the Internet in lower case, without scheme, port, star or path."""
    for host in hosts:
        if not _is_host(host):
            yield (
                f"outbound host {quoted(host)} is no host name such as api.example.com "
                "(no scheme, port, star, path or address)"
            )
    if len(set(hosts)) < len(hosts):
        yield "an outbound host is there twice"


def _is_host(host: str) -> bool:
    labels = host.split(".")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        numeric = _NUMBER.fullmatch(labels[-1]) is not None
    else:
        numeric = True
    return (
        not numeric
        and len(labels) > 1
        and len(host) <= 253
        and labels[-1] not in _LOCAL
        and all(_LABEL.fullmatch(label) for label in labels)
    )


def dependency_faults(names: Sequence[str], allowed: Collection[str]) -> Iterator[str]:
    """Names only; the platform pins their versions."""
    for name in names:
        if name not in allowed:
            possible = ", ".join(sorted(allowed)) or "none"
            yield f"dependency {quoted(name)} cannot be used; possible are: {possible}"
    if len(set(names)) < len(names):
        yield "a dependency is there twice"


def _shape(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


def _path_faults(operation: Operation) -> Iterator[str]:
    segments = operation.path.split("/")[1:]
    if segments != [""] and not all(_SEGMENT.fullmatch(one) for one in segments):
        yield (
            f"its path {quoted(operation.path)} has a part that is neither a plain word nor one "
            "{parameter}; it ends without a slash"
        )
    if segments[0].lower() in RESERVED or {".", ".."} & set(segments):
        yield f"its path {quoted(operation.path)} is the platform's own"
    if keyword.iskeyword(operation.id):
        yield "its id is a word of Python"


def _parameter_faults(operation: Operation) -> Iterator[str]:
    in_path = parameters_in(operation.path)
    declared = [p.name for p in operation.parameters if p.location is Location.PATH]
    for name in sorted(set(in_path) - set(declared)):
        yield f"the path has {{{name}}}, but no path parameter {name} is declared"
    for name in sorted(set(declared) - set(in_path)):
        yield f"path parameter {quoted(name)} is not in the path"
    places = Counter((p.location, p.name.lower()) for p in operation.parameters)
    if len(set(in_path)) < len(in_path) or any(times > 1 for times in places.values()):
        yield "a parameter is there twice"
    for parameter in operation.parameters:
        yield from _one_parameter(parameter)


def _one_parameter(parameter: Parameter) -> Iterator[str]:
    if parameter.location is Location.PATH and not parameter.required:
        yield f"path parameter {quoted(parameter.name)} must be required"
    if parameter.location is not Location.HEADER:
        if not parameter.name.isidentifier() or not parameter.name.isascii():
            yield f"parameter {quoted(parameter.name)} is no plain name such as page_size"
    elif not _HEADER.fullmatch(parameter.name) or parameter.name.lower() in _NOT_HEADERS:
        yield f"header {quoted(parameter.name)} is not for operations to declare"


def _body_faults(operation: Operation) -> Iterator[str]:
    if operation.body is not None and operation.method in _NO_BODY:
        yield f"a {operation.method} has no body"
    types = [operation.body_type]
    if operation.response_type or operation.response is not None:
        types.append(operation.response_type)  # an answer of nothing, such as a redirect, has none
    for media_type in types:
        if not _MEDIA_TYPE.fullmatch(media_type):
            yield f"{quoted(media_type)} is no media type"


def _answer_faults(operation: Operation) -> Iterator[str]:
    if operation.response is not None and operation.status in (204, 205, 304):
        yield f"an answer with {operation.status} has no content, so it has no response schema"
    if operation.response is not None and not is_json(operation.response_type):
        yield "a response schema needs a response type of JSON"
    if all(example.status != operation.status for example in operation.examples):
        yield f"no example shows its answer with {operation.status}"


def _schema_faults(operation: Operation) -> Iterator[str]:
    named = [(f"the schema of {quoted(p.name)}", p.schema_) for p in operation.parameters]
    if operation.body is not None:
        named.append(("the body's schema", operation.body))
    if operation.response is not None:
        named.append(("the response's schema", operation.response))
    for name, schema in named:
        for fault in schemas.faults(schema):
            yield f"{name}: {fault}"

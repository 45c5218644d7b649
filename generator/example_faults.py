"""Whether an example is one of its operation: path, parameters, body, status, answer. Pure."""

import re
from collections.abc import Iterator

from generator import schemas
from generator.contract import Example, Json, Operation
from generator.examples import given, is_json, matched, place, placeholders, typed
from generator.texts import quoted

# answers that the platform's template gives by itself, so no operation has to declare them
PLATFORM_STATUSES = frozenset({400, 404, 405, 413, 415, 422})
_POINTER = re.compile(r"(/([^~/]|~[01])*)*")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def example_faults(operation: Operation, example: Example) -> Iterator[str]:
    """All of one example; its operation's schemas are known to be good."""
    if matched(operation.path, example.path) is None:
        yield f"its path {quoted(example.path)} is none of {quoted(operation.path)}"
    yield from _text_faults(example)
    yield from _status_faults(operation, example)
    yield from _undeclared(operation, example)
    yield from _answer_faults(operation, example)
    yield from _keep_faults(example)
    if example.status < 400:  # an example of a mistake may make one
        yield from _value_faults(operation, example)
        yield from _body_faults(operation, example)
    elif example.body is not None and operation.body is None:
        yield "it has a body, but the operation takes none"


def _text_faults(example: Example) -> Iterator[str]:
    if re.search(r"[?#\s\x00-\x20\x7f]|//", example.path) or not example.path.startswith("/"):
        yield f"its path {quoted(example.path)} is no plain path; a query stands in `query`"
    if {".", ".."} & set(example.path.split("/")):
        yield "its path has a part . or .., which clients take out"
    for name, value in example.headers.items():
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            yield f"the value of header {quoted(name)} is no plain text"


def _status_faults(operation: Operation, example: Example) -> Iterator[str]:
    declared = {operation.status} | {error.status for error in operation.errors}
    if example.status not in declared | PLATFORM_STATUSES:
        yield f"it answers {example.status}, which the operation does not declare"


def _undeclared(operation: Operation, example: Example) -> Iterator[str]:
    declared = {place(parameter) for parameter in operation.parameters}
    for where, name in given(operation, example):
        if where != "path" and (where, name) not in declared and name != "content-type":
            yield f"it gives the {where} parameter {quoted(name)}, which is not declared"


def _value_faults(operation: Operation, example: Example) -> Iterator[str]:
    texts = given(operation, example)
    for parameter in operation.parameters:
        text = texts.get(place(parameter))
        if text is None:
            if parameter.required:
                yield f"it lacks the {parameter.location} parameter {quoted(parameter.name)}"
        elif not placeholders(text):
            schema = schemas.inlined(parameter.schema_)
            why = schemas.problem(typed(text, schema), schema)
            if why:
                yield f"parameter {quoted(parameter.name)}: {why}"


def _body_faults(operation: Operation, example: Example) -> Iterator[str]:
    if operation.body is None:
        if example.body is not None:
            yield "it has a body, but the operation takes none"
        return
    if is_json(operation.body_type):
        if not placeholders(example.body):
            why = schemas.problem(example.body, schemas.inlined(operation.body))
            if why:
                yield f"its body does not hold to the schema: {why}"
    elif operation.body_type.startswith(_FORMS):
        if not isinstance(example.body, dict):
            yield "the body of a form is an object of its fields"
    elif not isinstance(example.body, str | dict):
        yield 'a body that is not JSON is a text, or {"base64": "…"}'


def _answer_faults(operation: Operation, example: Example) -> Iterator[str]:
    if example.response is None or example.status != operation.status:
        return
    if not is_json(operation.response_type):
        if not isinstance(example.response, str):
            yield "an answer that is not JSON is compared as a text that it has in it"
        return
    if operation.response is None or placeholders(example.response):
        return
    why = schemas.problem(example.response, schemas.inlined(operation.response), part=True)
    if why:
        yield f"its answer does not hold to the response's schema: {why}"


def _keep_faults(example: Example) -> Iterator[str]:
    for name, pointer in example.keep.items():
        if not _NAME.fullmatch(name):
            yield f"{quoted(name)} is no name for a kept value"
        if not _POINTER.fullmatch(pointer):
            yield f"{quoted(pointer)} is no JSON pointer such as /id"
    if example.keep and example.status >= 400:
        yield "an answer that is an error has nothing to keep"


def pointed(value: Json, pointer: str) -> Json:
    """What a JSON pointer leads to; KeyError when there is nothing."""
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            raise KeyError(name)
    return value

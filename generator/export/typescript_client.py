"""The TypeScript client: one method an operation, typed from its schemas, over `fetch`."""

from collections.abc import Iterator

from generator.export.names import comment, pascal, script_text
from generator.export.operations import Operation, Parameter
from generator.export.shapes import Choice, Either, Many, Named, Plain, Shape, Thing

_PLAIN = {
    "text": "string",
    "whole": "number",
    "real": "number",
    "flag": "boolean",
    "nothing": "null",
}


def client_of(operations: tuple[Operation, ...], static: str) -> str:
    """The file: types, then what is the same for all, then the methods."""
    types = [line for one in operations for line in _types(one)]
    methods = [line for one in operations for line in _method(one)]
    head = static.replace("// types\n", "\n".join([*types, ""]))
    return head.replace("  // methods\n", "\n".join([*methods, ""]))


def written(shape: Shape) -> str:
    """How a shape is written."""
    match shape:
        case Plain(kind):
            return _PLAIN[kind]
        case Choice(texts):
            return "(" + " | ".join(map(script_text, texts)) + ")"
        case Many(item):
            return f"Array<{written(item)}>"
        case Named(item):
            return f"Record<string, {written(item)}>"
        case Either(shapes):
            return "(" + " | ".join(map(written, shapes)) + ")"
        case Thing(fields):
            rows = [
                f"{script_text(one.name)}{'' if one.required else '?'}: {written(one.shape)}"
                for one in fields
            ]
            return "{ " + "; ".join(rows) + " }"
    return "unknown"


def _types(one: Operation) -> Iterator[str]:
    base = pascal(one.name)
    members = [
        f"  {script_text(each.name)}{'' if each.required else '?'}: {written(each.shape)};"
        for each in one.parameters
    ]
    if one.body is not None:
        members.append(f'  "body"{"" if one.body_required else "?"}: {written(one.body)};')
    yield from (f"export type {base}Input = {{", *members, "};")
    yield f"export type {base}Answer = {'Blob' if one.answer is None else written(one.answer)};"
    yield ""


def _method(one: Operation) -> Iterator[str]:
    base = pascal(one.name)
    is_needed = one.body_required or any(each.required for each in one.parameters)
    yield f"  // {comment(one.summary or one.name)}"
    given = f"input: {base}Input{'' if is_needed else ' = {}'}"
    yield f"  {one.name}({given}): Promise<{base}Answer> {{"
    yield "    return this.call({"
    yield f"      method: {script_text(one.method)},"
    yield f"      path: {script_text(one.path)},"
    for place in ("path", "query", "header"):
        yield f"      {place}Values: {_sent(one.parameters, place)},"
    if one.body is not None:
        yield f'      body: input["body"], bodyType: {script_text(one.body_type)},'
    yield f"      isJson: {str(one.answer is not None).lower()},"
    yield f"    }}) as Promise<{base}Answer>;"
    yield "  }"
    yield ""


def _sent(parameters: tuple[Parameter, ...], place: str) -> str:
    rows = [
        f"{script_text(one.sent)}: input[{script_text(one.name)}]"
        for one in parameters
        if one.place == place
    ]
    return "{ " + ", ".join(rows) + " }" if rows else "{}"

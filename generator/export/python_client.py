"""The Python client: one method an operation, typed from its schemas, without dependencies."""

from collections.abc import Iterator

from generator.export.names import identifier, pascal, python_text, unique
from generator.export.operations import Operation, Parameter
from generator.export.shapes import Choice, Either, Field, Many, Named, Plain, Shape, Thing

_PLAIN = {"text": "str", "whole": "int", "real": "float", "flag": "bool", "nothing": "None"}


class _Types:
    """Names objects, innermost first."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._names: dict[Shape, str] = {}
        self._taken = {"ApiError", "Client", "Any", "Literal", "TypedDict", "NotRequired"}

    def of(self, shape: Shape, name: str) -> str:
        """How a shape is written; `name` is for an object that has none yet."""
        match shape:
            case Plain(kind):
                return _PLAIN[kind]
            case Choice(texts):
                return f"Literal[{', '.join(map(python_text, texts))}]"
            case Many(item):
                return f"list[{self.of(item, name + 'Item')}]"
            case Named(item):
                return f"dict[str, {self.of(item, name + 'Value')}]"
            case Either(shapes):
                return " | ".join(self.of(one, name) for one in shapes)
            case Thing():
                return self._object(shape, name)
        return "Any"

    def _object(self, shape: Thing, name: str) -> str:
        if shape not in self._names:
            rows = [self._row(field, name) for field in shape.fields]
            made = unique(name[:80], self._taken, "")
            self._names[shape] = made
            self.lines += [f"{made} = TypedDict({python_text(made)}, {{", *rows, "})", ""]
        return self._names[shape]

    def _row(self, field: Field, name: str) -> str:
        text = self.of(field.shape, name + pascal(identifier(field.name)))
        needed = text if field.required else f"NotRequired[{text}]"
        return f"    {python_text(field.name)}: {needed},"


def client_of(operations: tuple[Operation, ...], static: str) -> str:
    """The file: what is the same for all, then the types, then the methods."""
    types = _Types()
    methods = [line for one in operations for line in _method(types, one)]
    return static.replace("# types\n", "\n".join([*types.lines, ""])) + "\n".join([*methods, ""])


def _method(types: _Types, one: Operation) -> Iterator[str]:
    base = pascal(one.name)
    answer = "bytes" if one.answer is None else types.of(one.answer, f"{base}Answer")
    yield f"\n    def {one.name}("
    yield "        self,"
    arguments = list(_arguments(types, one, base))
    if arguments:
        yield "        *,"
    yield from arguments
    yield f"    ) -> {answer}:"
    yield f"        {python_text(one.summary or one.name)}"
    yield "        return self._call("
    yield f"            {python_text(one.method)},"
    yield f"            {python_text(one.path)},"
    for place in ("path", "query", "header"):
        yield f"            {place}_values={_sent(one.parameters, place)},"
    if one.body is not None:
        yield "            body=body,"
        yield f"            body_type={python_text(one.body_type)},"
    yield f"            is_json={one.answer is not None},"
    yield "        )"


def _arguments(types: _Types, one: Operation, base: str) -> Iterator[str]:
    rows = [(each.name, each.shape, each.required) for each in one.parameters]
    if one.body is not None:
        rows.append(("body", one.body, one.body_required))
    for name, shape, required in sorted(rows, key=lambda row: not row[2]):
        text = types.of(shape, base + pascal(name))
        yield f"        {name}: {text}," if required else f"        {name}: {text} | None = None,"


def _sent(parameters: tuple[Parameter, ...], place: str) -> str:
    rows = [f"{python_text(one.sent)}: {one.name}" for one in parameters if one.place == place]
    return "{" + ", ".join(rows) + "}"

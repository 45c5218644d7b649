"""Exported projects: what is in them, and that no text of a stranger leaves its place."""

import ast
import io
import json
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from generator import library
from generator.export import local_runtime, names, project, shapes
from generator.export.operations import of_document
from generator.export.project import Source, export, files_of

HOSTILE = (
    "x\"\"\"'''\n; import os\r\u2028*/ </script>${process}`\\",
    "../../etc/passwd\0",
    "@operations@ @title@ # types\n  // methods\n",
    "\ud800 \u202e {a}{b",
    "class delete __proto__ constructor",
    "'''+__import__('os').system('x')+'''",
)
QUICK = [Phase.explicit, Phase.generate]  # a smaller failing document costs minutes to find
text = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=40))
json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)
schema = st.recursive(
    st.sampled_from(
        [{"type": "string"}, {"type": "integer"}, {"type": ["number", "null"]}, {"$ref": "#/x"}, {}]
    )
    | st.builds(lambda texts: {"enum": texts}, st.lists(text, min_size=1, max_size=3)),
    lambda inner: st.one_of(
        st.builds(lambda one: {"type": "array", "items": one}, inner),
        st.builds(lambda many: {"anyOf": many}, st.lists(inner, max_size=3)),
        st.builds(
            lambda fields, needed: {"type": "object", "properties": fields, "required": needed},
            st.dictionaries(text, inner, max_size=4),
            st.lists(text, max_size=2),
        ),
    ),
    max_leaves=10,
)
parameter = st.fixed_dictionaries(
    {"name": text, "in": st.sampled_from(["path", "query", "header"]), "schema": schema}
)
operation = st.fixed_dictionaries(
    {
        "operationId": text,
        "summary": text,
        "parameters": st.lists(parameter, max_size=3),
        "requestBody": st.builds(
            lambda one: {"content": {"application/json": {"schema": one}}}, schema
        ),
        "responses": st.builds(
            lambda one: {"200": {"content": {"application/json": {"schema": one}}}}, schema
        ),
    }
)
document = st.builds(
    lambda paths: {"paths": {f"/{path}": found for path, found in paths.items()}},
    st.dictionaries(
        text, st.dictionaries(st.sampled_from(["get", "post", "put"]), operation), max_size=3
    ),
)


def source_of(slug: str) -> Source:
    one = library.get(slug)
    assert one is not None
    return Source(one.title, one.code, one.summary, one.contract)


def packed(source: Source) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(export(source))) as found:
        return {name: found.read(name) for name in found.namelist()}


def imports(code: str) -> list[str]:
    """What a Python file imports."""
    kinds = (ast.Import, ast.ImportFrom)
    return [ast.unparse(node) for node in ast.walk(ast.parse(code)) if isinstance(node, kinds)]


def methods(code: str) -> list[str]:
    """Functions in classes, by name."""
    classes = [node for node in ast.parse(code).body if isinstance(node, ast.ClassDef)]
    return [node.name for one in classes for node in one.body if isinstance(node, ast.FunctionDef)]


PLAIN = files_of(Source("", ""))


class TestProject:
    def test_the_same_input_gives_the_same_bytes(self) -> None:
        assert export(source_of("todo-list")) == export(source_of("todo-list"))

    def test_everything_that_a_project_needs_is_in_one_folder(self) -> None:
        found = packed(source_of("todo-list"))
        assert {name.partition("/")[0] for name in found} == {"to-do-list"}
        assert {name.partition("/")[2] for name in found} >= {
            "main.py", "requirements.txt", "Dockerfile", "vercel.json", "api/index.py",
            "openapi.json", "README.md", "web/ApiForms.tsx", "clients/python/client.py",
            "clients/typescript/client.ts", "tests/test_api.py", "tests/examples.json",
        }  # fmt: skip

    def test_main_is_the_code_of_the_version_to_the_byte(self) -> None:
        source = source_of("quote-of-the-day")
        assert packed(source)["quote-of-the-day/main.py"].decode() == source.code

    def test_the_lock_goes_along_and_names_what_is_installed(self) -> None:
        lock = f"segno==1.6.6 --hash=sha256:{'0' * 64}\n"
        found = files_of(Source("QR", "app = 1", lock=lock))
        assert found["requirements.lock"] == lock
        assert "segno==1.6.6\n" in found["requirements.txt"]

    def test_an_api_without_contract_and_document_is_still_a_project(self) -> None:
        found = files_of(Source("", "app = 1"))
        assert json.loads(found["tests/examples.json"]) == []
        assert json.loads(found["openapi.json"])["paths"] == {}

    @pytest.mark.parametrize("one", library.all_templates(), ids=lambda one: one.slug)
    def test_every_python_file_of_every_template_is_python(self, one: library.Template) -> None:
        for name, content in files_of(source_of(one.slug)).items():
            if name.endswith(".py"):
                compile(content, name, "exec")


class TestStrangers:
    @given(name=text, summary=text, value=document)
    @settings(max_examples=20, deadline=None, phases=QUICK, suppress_health_check=list(HealthCheck))
    def test_no_text_leaves_its_place(self, name: str, summary: str, value: Any) -> None:
        found = files_of(Source(name, "app = 1", summary, document=value))
        client, plain = found["clients/python/client.py"], PLAIN["clients/python/client.py"]
        assert imports(client) == imports(plain)
        assert methods(client) == methods(plain) + [one.name for one in of_document(value)]
        for line in found["clients/typescript/client.ts"].split("\n"):
            assert line.isprintable()
        (literal,) = (
            line
            for line in found["web/ApiForms.tsx"].split("\n")
            if line.startswith("const OPERATIONS")
        )
        json.loads(literal.removeprefix("const OPERATIONS: Operation[] = ").removesuffix(";"))
        assert "<" not in literal.partition(" = ")[2]
        assert found["README.md"].count("\n") == files_of(Source("", "", document=value))[
            "README.md"
        ].count("\n")

    @given(name=text)
    @settings(max_examples=10, deadline=None)
    def test_files_have_plain_names(self, name: str) -> None:
        for path in packed(Source(name, "app = 1")):
            assert not path.startswith("/")
            assert ".." not in path
            assert path.isascii()
            assert path.isprintable()

    @given(value=json_value)
    @settings(max_examples=20, deadline=None)
    def test_documents_of_any_shape_do_no_harm(self, value: Any) -> None:
        paths = {"/a/{x}": {"get": value, "post": {"parameters": value, "responses": value}}}
        for one in ({"paths": value}, {"paths": {"/a": value}}, {"paths": paths}):
            files_of(Source("x", "app = 1", document=one))

    @given(value=schema)
    @settings(max_examples=30, deadline=None)
    def test_types_are_python_that_can_be_run(self, value: Any) -> None:
        answer = {"200": {"content": {"application/json": {"schema": value}}}}
        made = files_of(Source("x", "", document={"paths": {"/a": {"get": {"responses": answer}}}}))
        exec(compile(made["clients/python/client.py"], "client", "exec"), {})

    def test_references_in_circles_and_bombs_have_an_end(self) -> None:
        bomb = {
            f"s{n}": {"properties": {f"p{i}": {"$ref": f"#/d/s{n + 1}"} for i in range(50)}}
            for n in range(30)
        }
        root = {"d": {**bomb, "s30": {"$ref": "#/d/s30"}}}
        assert isinstance(shapes.Reader(root).read({"$ref": "#/d/s0"}), shapes.Thing)
        assert shapes.Reader(root).read({"$ref": "#/d/s30"}) == shapes.Anything()
        assert shapes.Reader(root).read({"$ref": "https://example.com/x"}) == shapes.Anything()


class TestNames:
    @given(one=text)
    def test_identifiers_are_identifiers(self, one: str) -> None:
        assert names.identifier(one).isidentifier()

    def test_operations_of_one_name_get_numbers(self) -> None:
        get = {"operationId": "list"}
        found = of_document(
            {"paths": {"/a": {"get": get}, "/b": {"get": get}, "/c/{x}": {"get": {}}}}
        )
        assert [one.name for one in found] == ["list_call", "list_call_2", "get_c_x"]
        assert [one.sent for one in found[2].parameters] == ["x"]


class TestLocalStore:
    @pytest.fixture
    def store(self, tmp_path: Path) -> local_runtime.SyncKeyValue:
        return local_runtime.SyncKeyValue(tmp_path / "kv.sqlite3")

    def test_values_stay_in_the_file(self, store: local_runtime.SyncKeyValue) -> None:
        assert store.set("a", {"b": [1, None]})
        assert local_runtime.SyncKeyValue(store.file).get("a") == {"b": [1, None]}
        assert (store.delete("a"), store.delete("a"), store.get("a", 7)) == (True, False, 7)

    def test_writes_under_a_condition(self, store: local_runtime.SyncKeyValue) -> None:
        assert (store.set("a", 1, if_absent=True), store.set("a", 2, if_absent=True)) == (
            True,
            False,
        )
        assert (store.replace("a", 2, 3), store.replace("a", 1, 3)) == (False, True)
        assert (store.increment("a"), store.increment("n", 5)) == (4, 5)

    def test_lists_are_in_order_and_bounded(self, store: local_runtime.SyncKeyValue) -> None:
        for key in ("x:2", "x:1", "y", "x:3", "X:4"):
            store.set(key, key)
        assert store.list("x:") == ["x:1", "x:2", "x:3"]
        assert store.items("x:", limit=1, after="x:1") == [("x:2", "x:2")]

    def test_what_has_ended_is_not_there(self, store: local_runtime.SyncKeyValue) -> None:
        store.set("a", 1, ttl=-1)
        assert (store.get("a"), store.list(), store.set("a", 2, if_absent=True)) == (None, [], True)

    def test_what_is_too_large_is_refused(self, store: local_runtime.SyncKeyValue) -> None:
        with pytest.raises(local_runtime.KvQuotaError):
            store.set("a", "x" * 300_000)
        with pytest.raises(local_runtime.KvError):
            store.set("", 1)
        assert store.list() == []

    def test_a_file_that_is_none_is_unavailable(self, store: local_runtime.SyncKeyValue) -> None:
        store.file.write_text("not a database, and long enough to be taken for a damaged one" * 20)
        with pytest.raises(local_runtime.KvUnavailableError) as raised:
            store.get("a")
        assert isinstance(raised.value.__cause__, sqlite3.Error)


def test_the_component_has_every_operation() -> None:
    made = json.loads(project.forms(project.operations_of(source_of("todo-list"))))
    assert [one["method"] for one in made] == ["POST", "GET", "GET", "PATCH", "DELETE"]

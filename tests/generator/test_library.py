"""The library: what is in it, that each API keeps its contract, and what a text finds."""

import ast
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from generator import library, template
from generator.contract import Contract, Location, Schema, Storage
from generator.library import Template

SLUGS = sorted(one.slug for one in library.all_templates())


def of(slug: str) -> Template:
    found = library.get(slug)
    assert found is not None
    return found


def schemas_of(contract: Contract) -> Iterator[Schema]:
    for operation in contract.operations:
        yield from (parameter.schema_ for parameter in operation.parameters)
        yield from (one for one in (operation.body, operation.response) if one is not None)


def routes_of(body: str) -> set[tuple[str, str, int]]:
    """Method, path and status of each function with a route; read, not run."""
    found = set()
    for node in ast.parse(body).body:
        for one in getattr(node, "decorator_list", ()):
            if isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute):
                status = {word.arg: word.value for word in one.keywords}.get("status_code")
                number = 200 if status is None else ast.literal_eval(status)
                found.add((one.func.attr.upper(), ast.literal_eval(one.args[0]), number))
    return found


class TestLibrary:
    def test_it_has_enough_to_choose_from(self) -> None:
        assert len(SLUGS) >= 16

    def test_reading_it_imports_no_template(self) -> None:
        code = (
            "import sys; from generator import library; library.all_templates(); "
            "print([n for n in sys.modules if 'templates' in n or n in ('PIL', 'segno')])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        assert done.stdout.strip() == b"[]"

    @pytest.mark.parametrize("slug", ["", "nothing", "../library", "todo-list/", "index.json"])
    def test_what_is_not_there_is_none(self, slug: str) -> None:
        assert library.get(slug) is None


@pytest.mark.parametrize("slug", SLUGS)
class TestEachTemplate:
    def test_body_has_exactly_the_routes_of_the_contract(self, slug: str) -> None:
        operations = of(slug).contract.operations
        wanted = {(one.method, one.path, one.status) for one in operations}
        assert routes_of(of(slug).body) == wanted

    def test_schemas_are_valid(self, slug: str) -> None:
        for schema in schemas_of(of(slug).contract):
            Draft202012Validator.check_schema(schema)

    def test_every_operation_has_a_good_example_and_inputs_have_a_bad_one(self, slug: str) -> None:
        for operation in of(slug).contract.operations:
            statuses = {example.status for example in operation.examples}
            assert operation.status in statuses, operation.id
            if operation.body or operation.parameters:
                assert any(status >= 400 for status in statuses), operation.id

    def test_good_examples_send_what_the_schema_allows(self, slug: str) -> None:
        for operation in of(slug).contract.operations:
            for example in operation.examples:
                if operation.body is not None and example.status < 400:
                    Draft202012Validator(operation.body).validate(example.body)

    def test_every_text_and_list_that_comes_in_has_an_end(self, slug: str) -> None:
        for operation in of(slug).contract.operations:
            inputs = [parameter.schema_ for parameter in operation.parameters]
            for schema in [*inputs, *([operation.body] if operation.body else [])]:
                assert list(endless(schema)) == [], operation.id

    def test_dependencies_are_on_the_list(self, slug: str) -> None:
        contract = of(slug).contract
        assert all(template.package_of(one) for one in contract.dependencies)

    def test_the_store_is_there_exactly_when_it_is_used(self, slug: str) -> None:
        uses = "kv." in of(slug).body
        assert (of(slug).contract.storage is Storage.KV) == uses

    def test_its_file_is_the_platforms_around_the_body(self, slug: str) -> None:
        one = of(slug)
        assert template.body_of(one.code, one.contract) == one.body

    def test_readme_says_more_than_the_summary(self, slug: str) -> None:
        text = of(slug).readme
        assert text.startswith(f"# {of(slug).title}\n\n{of(slug).summary}\n")
        assert len(text) > len(of(slug).summary) + 150


def endless(schema: Schema) -> Iterator[str]:
    """Parts of a schema that take as much as anybody sends. Free JSON is bounded by the code."""
    for one in (schema, *schema.get("anyOf", ())):
        if one.get("type") == "string" and not {"maxLength", "enum", "pattern", "format"} & set(
            one
        ):
            yield json.dumps(one)
        if one.get("type") in ("integer", "number") and not {"minimum", "maximum"} <= set(one):
            yield json.dumps(one)
        if one.get("type") == "array":
            if "maxItems" not in one:
                yield json.dumps(one)
            yield from endless(one["items"])
        for inner in one.get("properties", {}).values():
            yield from endless(inner)


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    """What the templates answer in a process of their own."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.support.template_calls"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


class TestAnswers:
    def test_every_example_is_answered_as_the_contract_says(
        self, lines: list[dict[str, Any]]
    ) -> None:
        faults = [line for line in lines if line.get("fault")]
        assert faults == []

    def test_every_example_was_tried(self, lines: list[dict[str, Any]]) -> None:
        tried: defaultdict[str, int] = defaultdict(int)
        for line in lines:
            tried[line["slug"]] += "example" in line
        assert tried == {
            one.slug: sum(len(operation.examples) for operation in one.contract.operations)
            for one in library.all_templates()
        }

    @pytest.mark.parametrize("slug", SLUGS)
    def test_the_app_describes_itself_as_the_contract_does(
        self, lines: list[dict[str, Any]], slug: str
    ) -> None:
        (document,) = (
            line["document"] for line in lines if line["slug"] == slug and "document" in line
        )
        assert parameters_served(document) == parameters_promised(of(slug).contract)


def parameters_served(document: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """By method and path: each parameter with its bounds, and whether there is a body."""
    return {
        (method.upper(), path): (
            sorted(
                (one["name"], one["in"], one["required"], bounds(one["schema"]))
                for one in operation.get("parameters", ())
            ),
            "requestBody" in operation,
        )
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }


def parameters_promised(contract: Contract) -> dict[tuple[str, str], Any]:
    """The same from a contract."""
    return {
        (operation.method, operation.path): (
            sorted(
                (
                    one.name,
                    one.location.value,
                    one.required or one.location is Location.PATH,
                    bounds(one.schema_),
                )
                for one in operation.parameters
            ),
            operation.body is not None,
        )
        for operation in contract.operations
    }


BOUNDS = ("minimum", "maximum", "minLength", "maxLength", "pattern", "enum", "default")


def bounds(schema: Mapping[str, Any]) -> str:
    """What limits a parameter, in one order; an optional one has it beside null."""
    kinds: list[Mapping[str, Any]] = schema.get("anyOf", [])
    inner = next((one for one in kinds if one.get("type") != "null"), {})
    merged = {**inner, **schema}
    found = {name: merged[name] for name in BOUNDS if name in merged}
    return json.dumps(found, default=str) if schema.get("type") != "number" else numbers(found)


def numbers(found: Mapping[str, Any]) -> str:
    """The same number however it is written."""
    return json.dumps({name: float(value) for name, value in found.items()})


class TestFind:
    @pytest.mark.parametrize(
        ("text", "slug"),
        [
            ("an API for random facts about cats", "random-facts"),
            ("Shorten long links", "url-shortener"),
            ("keep my tasks", "todo-list"),
            ("A to-do list, please!", "todo-list"),
            ("convert euros to dollars", "currency"),
            ("celsius to fahrenheit", "unit-converter"),
            ("tell me whether it is a public holiday in Germany", "public-holidays"),
            ("make thumbnails of photos", "image-resize"),
            ("validate JSON against a schema", "json-schema"),
            ("turn a CSV file into JSON", "csv-json"),
            ("recommend products to customers", "recommendations"),
            ("QR CODE for a web page", "qr-code"),
            ("receive webhooks and look at them later", "webhook-inbox"),
        ],
    )
    def test_text_finds(self, text: str, slug: str) -> None:
        found = library.find(text)
        assert found is not None
        assert found.slug == slug

    @pytest.mark.parametrize("one", library.all_templates(), ids=lambda one: one.slug)
    def test_every_template_is_found_by_its_name_and_summary(self, one: Template) -> None:
        assert library.find(one.title) is one
        assert library.find(one.summary) is one

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "   ",
            "?!",
            "an API",
            "a chess engine",
            "weather forecast",
            "send e-mail",
            "stock prices",
            "translate English to German",
            "log in users",
            "classify images",
            "weather data as JSON",
        ],
    )
    def test_text_that_means_none_of_them(self, text: str) -> None:
        assert library.find(text) is None

    def test_search_is_ranked_and_bounded(self) -> None:
        found = library.search("convert json", 3)
        assert len(found) == 3
        assert {"csv-json", "json-schema"} & {one.slug for one in found}

    @given(st.text(max_size=300))
    def test_any_text_has_one_answer(self, text: str) -> None:
        assert library.find(text) is library.find(text)
        assert library.search(text) == library.search(text)

"""The form in which a model writes a contract, and how it becomes one.

Every object is closed and every field is asked for, as structured output wants it; what may be
any JSON (schemas, bodies, answers) travels as JSON text. Nothing is bounded here: all bounds are
checked afterwards, so that a model is told everything at once.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from generator import faults
from generator.contract import Contract, Example, Json, Operation, Parameter, Storage
from generator.texts import BadJsonError, cleaned, parsed
from generator.types import GeneratorError

Made = TypeVar("Made", bound=BaseModel)
_JSON_CHARACTERS, _JSON_DEPTH = 30_000, 30
_MAX_FAULTS = 40


class Draft(BaseModel):
    """Nothing but the named fields."""

    model_config = ConfigDict(extra="forbid")


class Pair(Draft):
    """A name and its text."""

    name: str
    value: str


class ParameterDraft(Draft):
    """One parameter of an operation."""

    name: str
    location: Literal["path", "query", "header"]
    schema_text: str = Field(description="JSON Schema as JSON text; only #/$defs references")
    required: bool
    description: str


class ErrorDraft(Draft):
    """An error of the operation's own."""

    status: int
    when: str


class ExampleDraft(Draft):
    """One call and what it must answer. Examples run in order, all operations after another."""

    name: str
    path: str = Field(description="filled in, such as /items/7, or /items/{kept_name}")
    query: list[Pair]
    headers: list[Pair]
    body_text: str = Field(description="the body as JSON text; empty: none")
    status: int
    response_text: str = Field(
        description="JSON text that the answer must contain: an object may have more members, "
        "a list is compared item by item; empty: not compared"
    )
    content_type: str = Field(description="of the answer; empty: not compared")
    keep: list[Pair] = Field(
        description="name and JSON pointer into the answer, for later examples"
    )
    needs_network: bool


class OperationDraft(Draft):
    """One method on one path."""

    id: str = Field(description="snake_case")
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str = Field(description="such as /items/{item_id}")
    summary: str
    parameters: list[ParameterDraft]
    body_schema_text: str = Field(description="JSON Schema as JSON text; empty: no body")
    body_type: str = Field(description="media type of the body, usually application/json")
    status: int = Field(description="of the answer when all goes well")
    response_schema_text: str = Field(
        description="JSON Schema as JSON text; empty: the answer is not JSON, or nothing"
    )
    response_type: str = Field(description="media type of the answer, usually application/json")
    errors: list[ErrorDraft]
    examples: list[ExampleDraft]


class ContractDraft(Draft):
    """What the API will offer."""

    title: str
    summary: str
    operations: list[OperationDraft]
    storage: Literal["none", "kv"]
    outbound_hosts: list[str]
    dependencies: list[str]
    assumptions: list[str] = Field(description="what was decided for the person who asked")


class BadContractError(GeneratorError):
    """The draft is no contract. `faults` are sentences for whoever wrote it."""

    code = "contract_unusable"

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__(f"The contract has {len(faults)} faults, the first: {faults[0]}.")
        self.faults = faults


def contract_of(draft: ContractDraft, dependencies: Collection[str] = ()) -> Contract:
    """The contract; BadContractError with all faults when it is none.

    `dependencies` are the packages that code may use, by normal name.
    """
    reader = _Reader()
    operations = list(reader.operations(draft))
    storage = Storage(draft.storage)
    found = [
        *reader.faults,
        *faults.shared_faults(operations, storage),
        *faults.host_faults(draft.outbound_hosts),
        *faults.dependency_faults(draft.dependencies, dependencies),
    ]
    for operation in operations:
        found += faults.operation_faults(operation)
    whole = draft.model_dump(exclude={"operations"})
    contract = reader.made(Contract, "the contract", {**whole, "operations": operations})
    found += [fault for fault in reader.faults if fault not in found]
    if found or contract is None:
        raise BadContractError(tuple(dict.fromkeys(found))[:_MAX_FAULTS])
    left = faults.faults_of(contract, dependencies)
    if left:
        raise BadContractError(left[:_MAX_FAULTS])
    return contract


class _Reader:
    """Reads what can be read and remembers what cannot."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def operations(self, draft: ContractDraft) -> Iterator[Operation]:
        for number, one in enumerate(draft.operations, 1):
            place = f"operation {cleaned(one.id, 64) or number}"
            made = self.made(Operation, place, self._operation(one, place))
            if made is not None:
                yield made

    def _operation(self, draft: OperationDraft, place: str) -> dict[str, Any]:
        plain = draft.model_dump(
            include={"id", "method", "path", "summary", "body_type", "status", "response_type"}
        )
        return plain | {
            "parameters": self._parameters(draft, place),
            "body": self._json(draft.body_schema_text, f"{place}: body_schema_text"),
            "response": self._json(draft.response_schema_text, f"{place}: response_schema_text"),
            "errors": [error.model_dump() for error in draft.errors],
            "examples": self._examples(draft, place),
        }

    def _parameters(self, draft: OperationDraft, place: str) -> list[Parameter]:
        made = []
        for one in draft.parameters:
            name = f"{place}, parameter {cleaned(one.name, 64)}"
            schema = self._json(one.schema_text, f"{name}: schema_text")
            plain = one.model_dump(exclude={"schema_text"})
            plain["required"] = one.required or one.location == "path"
            made.append(self.made(Parameter, name, plain | {"schema": schema or {}}))
        return [one for one in made if one is not None]

    def _examples(self, draft: OperationDraft, place: str) -> list[Example]:
        made = [
            self.made(Example, name, self._example(one, name))
            for number, one in enumerate(draft.examples, 1)
            for name in [f"{place}, example {number}"]
        ]
        return [one for one in made if one is not None]

    def _example(self, draft: ExampleDraft, place: str) -> dict[str, Any]:
        plain = draft.model_dump(
            include={"name", "path", "status", "content_type", "needs_network"}
        )
        return plain | {
            "query": self._mapping(draft.query, f"{place}: query"),
            "headers": self._mapping(draft.headers, f"{place}: headers"),
            "keep": self._mapping(draft.keep, f"{place}: keep"),
            "body": self._json(draft.body_text, f"{place}: body_text"),
            "response": self._json(draft.response_text, f"{place}: response_text"),
        }

    def _mapping(self, pairs: list[Pair], place: str) -> Mapping[str, str]:
        made = {pair.name: pair.value for pair in pairs}
        if len(made) < len(pairs):
            self.faults.append(f"{place} has a name twice")
        return made

    def _json(self, text: str, place: str) -> Json:
        if not text.strip():
            return None
        try:
            return parsed(text, characters=_JSON_CHARACTERS, depth=_JSON_DEPTH)
        except BadJsonError as error:
            self.faults.append(f"{place}: {error}")
            return None

    def made(self, form: type[Made], place: str, value: dict[str, Any]) -> Made | None:
        """One part of the contract, or None and its faults remembered."""
        try:
            return form.model_validate(value)
        except ValidationError as error:
            for one in error.errors(include_url=False, include_input=False):
                field = ".".join(str(step) for step in one["loc"])
                self.faults.append(cleaned(f"{place}: {field} {one['msg']}", 300))
            return None

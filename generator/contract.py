"""The contract of an API: what it offers, with examples. Source of tests, document and diff.

Made by a model, so everything in it is checked here again; a contract that exists is valid.
"""

from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Json = Any
Schema = dict[str, Any]  # JSON Schema 2020-12, without references that leave it


class Closed(BaseModel):
    """Nothing but the named fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Location(StrEnum):
    """Where a parameter travels."""

    PATH = "path"
    QUERY = "query"
    HEADER = "header"


class Storage(StrEnum):
    """What the API remembers."""

    NONE = "none"
    KV = "kv"  # sandgate_runtime.kv


class Parameter(Closed):
    """One parameter of an operation."""

    name: str = Field(min_length=1, max_length=64)
    location: Location
    schema_: Schema = Field(alias="schema", default_factory=dict)
    required: bool = False
    description: str = Field(default="", max_length=500)

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ErrorCase(Closed):
    """When the operation answers with an error of its own."""

    status: int = Field(ge=400, le=599)
    when: str = Field(max_length=300)


class Example(Closed):
    """One call and what it must answer; an acceptance case.

    Examples of a contract run in their order against one fresh sandbox, so a later one may read
    what an earlier one stored. `response` is a subset: an object may have more, a list is
    compared as a whole. `keep` names values for later examples: name → JSON pointer into the
    answer; `{name}` in a later path, query or body stands for it.
    """

    name: str = Field(min_length=1, max_length=120)
    path: str = Field(min_length=1, max_length=500)  # filled in, such as /items/7
    query: dict[str, str] = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)
    body: Json = None
    status: int = Field(ge=200, le=599)
    response: Json = None
    content_type: str = Field(default="", max_length=100)  # "" is not compared
    keep: dict[str, str] = Field(default_factory=dict)
    needs_network: bool = False  # may answer 502 or 503 where the host cannot be reached


class Operation(Closed):
    """One method on one path."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    method: str = Field(pattern=r"^(GET|POST|PUT|PATCH|DELETE)$")
    path: str = Field(pattern=r"^/[^?#\s]*$", max_length=200)  # /items/{item_id}
    summary: str = Field(min_length=1, max_length=200)
    parameters: tuple[Parameter, ...] = ()
    body: Schema | None = None
    body_type: str = Field(default="application/json", max_length=100)
    status: int = Field(default=200, ge=200, le=399)
    response: Schema | None = None  # None: not JSON, or nothing
    response_type: str = Field(default="application/json", max_length=100)
    errors: tuple[ErrorCase, ...] = ()
    examples: tuple[Example, ...] = Field(min_length=1, max_length=20)


class Contract(Closed):
    """What an API offers. `assumptions` are what was decided for the person who asked."""

    title: str = Field(min_length=1, max_length=80)
    summary: str = Field(min_length=1, max_length=300)
    operations: tuple[Operation, ...] = Field(min_length=1, max_length=40)
    storage: Storage = Storage.NONE
    outbound_hosts: tuple[str, ...] = Field(default=(), max_length=10)
    dependencies: tuple[str, ...] = Field(default=(), max_length=20)
    assumptions: tuple[str, ...] = Field(default=(), max_length=20)

    @model_validator(mode="after")
    def _each_operation_once(self) -> Self:
        ids = [operation.id for operation in self.operations]
        places = [(operation.method, operation.path) for operation in self.operations]
        if len(set(ids)) < len(ids) or len(set(places)) < len(places):
            raise ValueError("an operation is there twice")
        return self

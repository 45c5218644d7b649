"""Runs every template's examples in this process; `python -m tests.support.template_calls`.

Prints a JSON line per example (slug, example, fault) and one per template with the document that
the app makes of itself. Only the library's own code runs here.
"""

import importlib.util
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator

from generator import library
from generator.contract import Contract, Operation
from generator.export import local_calls, local_runtime


class Checking:
    """Passes calls on and checks what comes back against the operation's schema and statuses."""

    def __init__(self, client: TestClient) -> None:
        self._client = client
        self.operation: Operation | None = None
        self.fault = ""

    def request(self, method: str, url: str, **options: Any) -> Any:
        """One call. `Any`: the answer as the client has it."""
        answer = self._client.request(method, url, **options)
        assert self.operation is not None
        declared = {self.operation.status, *(error.status for error in self.operation.errors)}
        self.fault = "" if answer.status_code in declared else f"undeclared {answer.status_code}"
        if answer.status_code == self.operation.status and self.operation.response is not None:
            faults = Draft202012Validator(self.operation.response).iter_errors(answer.json())
            self.fault = "; ".join(fault.message for fault in faults)
        return answer


def app_of(folder: Path, slug: str, code: str) -> Any:
    """The application of a file. `Any`: whatever the file made."""
    file = folder / f"{slug.replace('-', '_')}.py"
    file.write_text(code)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    return module.app


def results(contract: Contract, client: TestClient) -> Iterator[tuple[str, str]]:
    """Name and fault of each example."""
    checking = Checking(client)
    rows = contract.model_dump(mode="json", by_alias=True)["operations"]
    by_id = {operation.id: operation for operation in contract.operations}
    calls = local_calls.play(checking, told(rows, by_id, checking))
    for name, fault in calls:
        yield name, fault or checking.fault


def told(
    rows: list[dict[str, Any]], by_id: Mapping[str, Operation], checking: Checking
) -> Iterator[dict[str, Any]]:
    """The operations, each told to the checking client before its calls."""
    for row in rows:
        checking.operation = by_id[row["id"]]
        yield row


def main() -> None:
    """All templates, each with a store of its own."""
    sys.modules["sandgate_runtime"] = local_runtime
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for one in library.all_templates():
            local_runtime.use(folder / f"{one.slug}.sqlite3")
            app = app_of(folder, one.slug, one.code)
            with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
                for example, fault in results(one.contract, client):
                    print(json.dumps({"slug": one.slug, "example": example, "fault": fault}))
                document = client.get("/openapi.json").json()
            print(json.dumps({"slug": one.slug, "document": document}))


if __name__ == "__main__":
    main()

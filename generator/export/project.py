"""A version of an API as a ZIP: a project that runs, with tests, clients and ways to host it.

The same input always gives the same bytes. Titles, paths and schemas are strangers' texts: they
stand in JSON or in literals, never in code, and no file has a name of theirs but the folder.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata, resources
from typing import Any

from generator.contract import Contract
from generator.export import operations, python_client, typescript_client
from generator.export.names import folder_of, markdown, script_text
from generator.export.operations import Operation
from generator.export.shapes import Choice, Plain, Shape

# what code finds in a sandbox of ours, in the versions that this installation has
_BASE = ("email-validator", "fastapi", "httpx", "jinja2", "orjson", "pydantic", "python-multipart",
         "starlette", "uvicorn", "websockets")  # fmt: skip
_TIME = (1980, 1, 1, 0, 0, 0)  # the first that a ZIP can tell
_KINDS = {"whole": "number", "real": "number", "flag": "flag"}


@dataclass(frozen=True, slots=True)
class Source:
    """What is exported. `document` is the app's OpenAPI, {} when it has none; `Any`: its JSON.

    `lock` has a line `name==version --hash=…` for each package of the version's own.
    """

    name: str
    code: str
    summary: str = ""
    contract: Contract | None = None
    document: Mapping[str, Any] = field(default_factory=dict)
    lock: str = ""


def export(source: Source) -> bytes:
    """The ZIP; everything is in one folder named after the API."""
    out, folder = io.BytesIO(), folder_of(source.name)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as packed:
        for name, text in sorted(files_of(source).items()):
            info = zipfile.ZipInfo(f"{folder}/{name}", _TIME)
            info.external_attr = 0o644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(info, text.encode("utf-8", "replace"))
    return out.getvalue()


def files_of(source: Source) -> dict[str, str]:
    """Text by path."""
    found = operations_of(source)
    made = {
        "main.py": source.code,
        "server.py": _static("server.py"),
        "sandgate_runtime.py": _own("local_runtime.py"),
        "openapi.json": _json(source.document or _document(source)),
        "requirements.txt": requirements(source.lock),
        "requirements-dev.txt": "-r requirements.txt\npytest>=8\n",
        "Dockerfile": _static("Dockerfile"),
        ".dockerignore": ".venv\n__pycache__\nkv.sqlite3\ntests\n",
        "vercel.json": _json({"rewrites": [{"source": "/(.*)", "destination": "/api/index"}]}),
        "api/index.py": _static("index.py"),
        "tests/conftest.py": _static("conftest.py"),
        "tests/calls.py": _own("local_calls.py"),
        "tests/test_api.py": _static("test_api.py"),
        "tests/examples.json": _json(examples(source.contract)),
        "clients/python/client.py": python_client.client_of(found, _static("client.py")),
        "clients/typescript/client.ts": typescript_client.client_of(found, _static("client.ts")),
        "web/ApiForms.tsx": _static("ApiForms.tsx").replace("@operations@", forms(found)),
        "README.md": _readme(source, found),
    }
    if source.lock:
        made["requirements.lock"] = source.lock
    return made


def operations_of(source: Source) -> tuple[Operation, ...]:
    """From the contract, which says more; else from the document."""
    if source.contract is not None:
        return operations.of_contract(source.contract)
    return operations.of_document(source.document)


def requirements(lock: str) -> str:
    """What a sandbox of ours has, and the version's own packages, each with its version."""
    rows = {name: f"{name}=={metadata.version(name)}" for name in _BASE}
    for line in lock.splitlines():
        row = line.partition(" ")[0]
        rows[row.partition("==")[0]] = row
    return "".join(f"{rows[name]}\n" for name in sorted(rows) if rows[name])


def examples(contract: Contract | None) -> list[dict[str, Any]]:
    """Calls of the tests; none when nobody said any."""
    if contract is None:
        return []
    rows = contract.model_dump(mode="json", by_alias=True)["operations"]
    return [{name: row[name] for name in ("id", "method", "body_type", "examples")} for row in rows]


def forms(found: tuple[Operation, ...]) -> str:
    """What the component shows, as a literal."""
    return script_text(
        [
            {
                "name": one.name,
                "title": one.summary or one.name,
                "method": one.method,
                "path": one.path,
                "inputs": [
                    {
                        "sent": each.sent,
                        "place": each.place,
                        "kind": _kind(each.shape),
                        "choices": list(each.shape.texts) if isinstance(each.shape, Choice) else [],
                        "required": each.required,
                    }
                    for each in one.parameters
                ],
                "body": None if one.body is None else "{}",
                "bodyType": one.body_type or "application/json",
                "isJson": one.answer is not None,
            }
            for one in found
        ]
    )


def _kind(shape: Shape) -> str:
    if isinstance(shape, Choice):
        return "choice"
    return _KINDS.get(shape.kind, "text") if isinstance(shape, Plain) else "text"


def _readme(source: Source, found: tuple[Operation, ...]) -> str:
    rows = [f"- {one.method} {markdown(one.path)} – {markdown(one.summary)}" for one in found]
    filled = {
        "# @title@": f"# {markdown(source.name) or 'API'}",
        "@summary@": markdown(source.summary),
        "@operations@": "\n".join(rows) or "See `main.py`.",
    }
    lines = _static("README.md").split("\n")
    return "\n".join(filled.get(line, line) for line in lines)


def _document(source: Source) -> dict[str, Any]:
    return {"openapi": "3.1.0", "info": {"title": source.name, "version": "1"}, "paths": {}}


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


def _static(name: str) -> str:
    return resources.files("generator.export.files").joinpath(f"{name}.txt").read_text("utf-8")


def _own(name: str) -> str:
    return resources.files("generator.export").joinpath(name).read_text("utf-8")

"""Exported projects on a bare machine: installed, tested, called; and their TypeScript checked."""

import importlib.util
import io
import os
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from generator import library
from generator.export.project import Source, export
from tests.support.waiting import until_blocking

pytestmark = pytest.mark.slow
STRANGE = {"type": "object", "required": ["`"], "properties": {
    "`": {"type": "string"}, "__proto__": {"type": ["integer", "null"]}}}  # fmt: skip
TEXTS = {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "null"}]}}
HOSTILE = {
    "paths": {
        "/x\"'`\\${a}\u2028*/</script>/{x}": {
            "post": {
                "operationId": "delete",
                "summary": "*/ } </script>\n`${process.exit()}`",
                "parameters": [
                    {"name": "a-b'\"\\", "in": "query", "schema": {"enum": ["'", '"\\\n']}}
                ],
                "requestBody": {"content": {"application/json": {"schema": STRANGE}}},
                "responses": {"200": {"content": {"application/json": {"schema": TEXTS}}}},
            },
            "get": {"operationId": "call"},
        }
    }
}


def unpacked(folder: Path, source: Source) -> Path:
    with zipfile.ZipFile(io.BytesIO(export(source))) as packed:
        packed.extractall(folder)
    return next(folder.iterdir())


def ran(command: list[str], folder: Path) -> str:
    """What it printed; the test fails with it when it failed."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command, cwd=folder, env=plain, capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in an environment of its own."""
    one = library.get("todo-list")
    assert one is not None
    source = Source(one.title, one.code, one.summary, one.contract)
    folder = unpacked(tmp_path_factory.mktemp("exported"), source)
    uv = str(Path(sys.executable).with_name("uv"))
    ran([uv, "venv", "-q", "--python", sys.executable, ".venv"], folder)
    pip = [uv, "pip", "install", "-q", "--python", ".venv/bin/python"]
    ran([*pip, "-r", "requirements-dev.txt"], folder)
    return folder


def test_its_own_tests_pass(project: Path) -> None:
    assert "17 passed" in ran([".venv/bin/python", "-m", "pytest", "-q"], project)


def test_vercels_entry_is_the_application(project: Path) -> None:
    code = "import sys; sys.path.insert(0, 'api'); import index; print(index.app.title)"
    assert ran([".venv/bin/python", "-c", code], project) == "To-do list\n"


@pytest.fixture
def url(project: Path) -> Iterator[str]:
    """Where the project answers."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [".venv/bin/python", "-m", "uvicorn", "server:app", "--port", str(port)]
    with subprocess.Popen(command, cwd=project, stderr=subprocess.DEVNULL) as process:

        def answers() -> bool:
            try:
                return httpx.get(f"http://127.0.0.1:{port}/todos", trust_env=False).is_success
            except httpx.TransportError:
                return False

        try:
            until_blocking(answers, 20)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def client_in(project: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "exported_client", project / "clients/python/client.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_python_client_calls_it(project: Path, url: str) -> None:
    module = client_in(project)
    api = module.Client(url)
    made = api.add_todo(body={"text": "Buy milk"})
    assert api.change_todo(number=made["id"], body={"done": True})["done"] is True
    assert api.list_todos(limit=10)["items"][-1]["text"] == "Buy milk"
    assert api.delete_todo(number=made["id"]) == b""
    with pytest.raises(module.ApiError) as raised:
        api.read_todo(number=made["id"])
    assert (raised.value.status, raised.value.problem["status"]) == (404, 404)


@pytest.mark.skipif(shutil.which("npm") is None, reason="optional: needs npm")
def test_typescript_takes_every_client_and_component(tmp_path: Path) -> None:
    packages = ["typescript@5", "@types/react@19"]
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    if subprocess.run([*install, *packages], cwd=tmp_path, capture_output=True).returncode:
        pytest.skip("optional: the package registry does not answer here")
    sources = [
        Source(one.title, one.code, one.summary, one.contract) for one in library.all_templates()
    ]
    for number, source in enumerate([*sources, Source("hostile", "", document=HOSTILE)]):
        (tmp_path / str(number)).mkdir()
        unpacked(tmp_path / str(number), source)
    options = ["--noEmit", "--strict", "--target", "es2022", "--module", "esnext", "--jsx",
               "react-jsx", "--moduleResolution", "bundler", "--lib", "es2022,dom,dom.iterable",
               "--skipLibCheck"]  # fmt: skip
    files = [str(path) for path in sorted(tmp_path.glob("[0-9]*/*/web/*.tsx"))]
    assert len(files) == len(sources) + 1
    ran(["npx", "--no-install", "tsc", *options, *files], tmp_path)

"""What one app is given reaches its own process and nothing else: looked at from in and outside."""

import json
import os
import resource
from pathlib import Path
from typing import Any

import pytest

from sandbox.runner import surroundings
from sandbox.runner.task import Limits
from tests.support.running import Runner, running

SECRET = "s3cr3t-of-this-api"
APP = """
import json, os, resource, sys
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    seen = eval(scope["path"].removeprefix("/"))
    body = json.dumps(seen, default=str).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""


def ask(runner: Runner, expression: str) -> Any:
    return json.loads(runner.get("/" + expression.replace(" ", "%20")).partition(b"\r\n\r\n")[2])


def child_of(runner: Runner) -> int:
    path = Path(f"/proc/{runner.process.pid}/task/{runner.process.pid}/children")
    (child,) = path.read_text().split()
    return int(child)


def environ_file(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except PermissionError:  # not dumpable, and the test is not root: as closed as can be
        return b""


def test_variables_are_in_os_environ_and_in_no_environ_file() -> None:
    with running() as runner:
        assert runner.specialise(APP, environment={"API_KEY": SECRET})["type"] == "ready"
        assert ask(runner, "os.environ['API_KEY']") == SECRET
        assert ask(runner, "os.getenv('API_KEY')") == SECRET
        for pid in (runner.process.pid, child_of(runner)):
            assert SECRET.encode() not in environ_file(pid)
        read_own = "open('/proc/self/environ','rb').read().decode()"
        assert SECRET not in ask(runner, read_own)


def test_user_code_cannot_look_into_its_supervisor() -> None:
    """Not dumpable: its files in /proc belong to root, and only root reads them."""
    with running() as runner:
        runner.specialise(APP)
        assert os.stat(f"/proc/{runner.process.pid}/environ").st_uid == 0
        assert os.stat(f"/proc/{child_of(runner)}/environ").st_uid == os.getuid()


def test_a_variable_that_cannot_be_set_fails_the_start_without_its_value() -> None:
    with running() as runner:
        failed = runner.specialise(APP, environment={"API_KEY": f"{SECRET}\0"})
        assert failed["type"] == "failed"
        assert "API_KEY" in failed["reason"]
        assert SECRET not in json.dumps(failed)
        assert runner.process.wait(10) == 0


def test_the_layer_is_the_last_place_to_import_from() -> None:
    with running() as runner:
        layer = runner.directory / "layer"
        (layer / "cat_names-1.0.dist-info").mkdir(parents=True)
        (layer / "cat_names-1.0.dist-info" / "METADATA").write_text("Name: cat-names\nVersion: 1.0")
        (layer / "cat_names.py").write_text("best = 'Mia'")
        (layer / "fastapi.py").write_text("raise RuntimeError('the layer took its place')")
        (layer / "json.py").write_text("raise RuntimeError('the layer took its place')")
        code = "import cat_names, fastapi, json\nprint(cat_names.best)\n" + APP
        assert runner.specialise(code, layer=True)["type"] == "ready"
        assert ask(runner, "sys.path[-1]") == str(layer)


def test_a_missing_module_is_told_with_what_the_layer_has() -> None:
    with running() as runner:
        info = runner.directory / "layer" / "cat_names-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Name: cat-names\nVersion: 1.0")
        failed = runner.specialise("import dog_names", layer=True)
        assert failed["kind"] == "import_error"
        assert "cat-names" in failed["reason"]


def test_without_a_layer_its_folder_is_not_on_the_path() -> None:
    with running() as runner:
        runner.specialise(APP)
        assert str(runner.directory / "layer") not in ask(runner, "sys.path")


def test_limits_are_those_of_the_order_and_only_in_the_apps_process() -> None:
    with running() as runner:
        runner.specialise(APP, resources={"memory_mb": 256, "cpus": 1, "pids": 64, "tmp_mb": 3})
        limit = "resource.getrlimit(resource.RLIMIT_{})[1]"
        assert ask(runner, limit.format("CORE")) == 0
        assert ask(runner, limit.format("FSIZE")) == 3 * 1024 * 1024
        assert ask(runner, limit.format("NOFILE")) <= surroundings.OPEN_FILES
        outside = resource.prlimit(runner.process.pid, resource.RLIMIT_FSIZE)
        assert outside == resource.getrlimit(resource.RLIMIT_FSIZE)


def test_a_limit_is_only_ever_lowered() -> None:
    none = resource.RLIM_INFINITY
    assert surroundings.lower(none, 5) == 5
    assert surroundings.lower(3, 5) == 3
    assert surroundings.lower(9, 5) == 5
    assert surroundings.lower(0, 5) == 0


@pytest.mark.parametrize(("hard", "is_counted"), [(128, True), (60_000, False), (-1, False)])
def test_processes_are_limited_only_where_the_runtime_counts_them(
    monkeypatch: pytest.MonkeyPatch, hard: int, is_counted: bool
) -> None:
    lowered: list[int] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (hard, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, _limits: lowered.append(kind))
    surroundings.apply_limits(Limits(memory_mb=1, pids=1, tmp_mb=1))
    assert (resource.RLIMIT_NPROC in lowered) is is_counted


def test_the_way_out_is_in_the_variables_that_clients_read() -> None:
    with running() as runner:
        runner.specialise(APP)
        seen = ask(runner, "dict(os.environ)")
        url = seen["HTTPS_PROXY"]
        assert url.startswith("http://127.0.0.1:")
        names = ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
        assert {seen[name] for name in names} == {url}
        assert "localhost" in seen["NO_PROXY"].split(",")
        assert "127.0.0.1" in seen["no_proxy"].split(",")
        assert seen["SSL_CERT_FILE"].endswith("certifi/cacert.pem")


def test_a_certificate_of_the_door_is_trusted_beside_the_usual_ones(tmp_path: Path) -> None:
    variables = surroundings.trust_variables("-----MINE-----", tmp_path)
    (bundle,) = set(variables.values())
    assert set(variables) == {"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}
    text = Path(bundle).read_text("utf-8")
    assert text.endswith("-----END CERTIFICATE-----\n-----MINE-----\n")
    assert text.count("BEGIN CERTIFICATE") > 50


def test_secrets_leave_neither_in_lines_nor_in_reports() -> None:
    code = """
import base64, os, sys
print("key is", os.environ["API_KEY"])
print(base64.b64encode(os.environ["API_KEY"].encode()).decode(), file=sys.stderr)
raise RuntimeError(f"all of it: {dict(os.environ)}")
"""
    with running() as runner:
        failed = runner.specialise(code, environment={"API_KEY": SECRET}, redact=[SECRET])
        assert runner.heard_end()
        assert failed["kind"] == "exception"
        assert "'API_KEY': '[secret]'" in failed["reason"] + failed["traceback"]
        assert SECRET not in json.dumps(failed)
        assert sorted(runner.logs) == ["[secret]", "key is [secret]"]


def test_an_error_in_service_that_prints_the_environment_is_redacted() -> None:
    code = """
import os
async def app(scope, receive, send):
    if scope["type"] == "http":
        raise ValueError(str(os.environ))
"""
    with running() as runner:
        runner.specialise(code, environment={"API_KEY": SECRET}, redact=[SECRET])
        assert b" 500 " in runner.get()
        runner.tell({"type": "stop", "seconds": 5})
        runner.heard("exited")
        text = "\n".join(runner.logs)
        assert "[secret]" in text
        assert SECRET not in text
        runner.hang_up()

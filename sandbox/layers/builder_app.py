"""Runs inside a throw-away sandbox: resolves and installs packages with the installer program.

Sent there as text, like user code, so it imports nothing of ours. It runs no code of any
package: wheels are only unpacked, and compiled to byte code without being imported.
"""

import contextlib
import json
import os
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse, StreamingResponse

UV = "/layer/bin/uv"
WORK = Path("/tmp/work")  # noqa: S108 - the sandbox's own
LAYER = WORK / "layer"
UV_SECONDS = 120.0
COMPILE_SECONDS = 60.0
PIECE_BYTES = 256 * 1024
COMMON = (
    *("--no-cache", "--no-config", "--no-progress", "--color", "never", "--no-build"),
    *("--python", sys.executable, "--no-python-downloads", "--keyring-provider", "disabled"),
)
SETTINGS = {
    # the way out is the only way, even to an index that has an address of this machine
    "NO_PROXY": "",
    "no_proxy": "",
    "RAYON_NUM_THREADS": "2",
    "TOKIO_WORKER_THREADS": "2",
    "UV_CONCURRENT_DOWNLOADS": "8",
    "UV_HTTP_RETRIES": "2",
    "UV_HTTP_TIMEOUT": "20",
}

app = FastAPI(openapi_url=None)


@app.post("/resolve")
def resolve(body: dict[str, Any]) -> Response:
    """Requirements to exact versions with hashes."""
    WORK.mkdir(exist_ok=True)
    stand_ins = WORK / "root"
    stand_ins.mkdir(exist_ok=True)
    for pin in body["root"]:
        _stand_in(stand_ins, pin.partition("==")[0])
    newest = ["--exclude-newer", body["newest"]] if body["newest"] else []
    code, output, errors = _uv(
        body,
        *("pip", "compile", *COMMON, "--generate-hashes", "--no-header", "--no-annotate"),
        *("--find-links", str(stand_ins), *newest),
        *("--constraints", _file("root.txt", "\n".join(body["root"]))),
        _file("requirements.in", "\n".join(body["requirements"])),
    )
    return JSONResponse({"code": code, "output": output, "errors": errors[-64_000:]})


@app.post("/install")
def install(body: dict[str, Any]) -> Response:
    """A lock to the files of its packages."""
    WORK.mkdir(exist_ok=True)
    code, _, errors = _uv(
        body,
        *("pip", "install", *COMMON, "--target", str(LAYER), "--link-mode", "hardlink"),
        *("--no-deps", "--require-hashes", "--requirements", _file("lock.txt", body["lock"])),
    )
    if code != 0:
        return JSONResponse({"code": code, "errors": errors[-64_000:]}, 422)
    _compile()
    return StreamingResponse(_stream(), media_type="application/octet-stream")


def _file(name: str, text: str) -> str:
    path = WORK / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def _stand_in(folder: Path, name: str) -> None:
    """A wheel without code for a package that is here anyway: an index need not have it."""
    dist = distribution(name)
    stem = f"{name.replace('-', '_')}-{dist.version}"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        info = f"{stem}.dist-info"
        tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{info}/METADATA", dist.read_text("METADATA") or "")
        wheel.writestr(f"{info}/WHEEL", tags)
        wheel.writestr(f"{info}/RECORD", "")


def _uv(body: dict[str, Any], *arguments: str) -> tuple[int, str, str]:
    certificates = {"SSL_CERT_FILE": _file("ca.pem", body["ca"])} if body["ca"] else {}
    done = subprocess.run(
        [UV, *arguments],
        env={**os.environ, **SETTINGS, **certificates, "UV_DEFAULT_INDEX": body["index"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        timeout=UV_SECONDS,
    )
    return done.returncode, done.stdout, done.stderr


def _compile() -> None:
    """Byte code, so that no start has to make it; a large layer may do without some of it."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(
            [
                *(sys.executable, "-I", "-m", "compileall", "-q", "-q", "-f", "-j", "2"),
                *("--invalidation-mode", "unchecked-hash"),
                *("-s", str(LAYER), "-p", "/layer", str(LAYER)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=COMPILE_SECONDS,
        )


def _stream() -> Iterator[bytes]:
    count = 0
    for path in _files(LAYER):
        name = path.relative_to(LAYER).as_posix()
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            yield _announce({"error": f"{name!r} is not an ordinary file"})
            return
        count += 1
        yield _announce({"path": name, "size": found.st_size})
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece
    yield _announce({"end": count})


def _files(top: Path) -> Iterator[Path]:
    """Everything that is no folder and belongs into a layer."""
    for folder, folders, names in os.walk(top):
        folders.sort()
        for name in sorted([*names, *(one for one in folders if Path(folder, one).is_symlink())]):
            if Path(folder) != top or not _is_left_out(name):
                yield Path(folder, name)


def _is_left_out(name: str) -> bool:
    """The installer's own notes, and start-up hooks: nothing of a layer runs unasked."""
    return name in {".lock", ".gitignore", "CACHEDIR.TAG"} or name.casefold().endswith(".pth")


def _announce(value: dict[str, object]) -> bytes:
    data = json.dumps(value).encode()
    return len(data).to_bytes(4, "big") + data

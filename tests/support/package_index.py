"""A small package index on loopback: wheels made by tests, served with hashes and times."""

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LONG_AGO = "2020-01-01T00:00:00Z"


def wheel(
    name: str,
    version: str,
    files: Mapping[str, bytes],
    *,
    requires: tuple[str, ...] = (),
    links: Mapping[str, str] | None = None,
) -> bytes:
    """A wheel with these files, whatever their names are; `links` are symbolic ones."""
    stem = f"{name.replace('-', '_')}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {text}\n" for text in requires)
    own = {
        f"{stem}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{stem}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, *(links or {}), *own, f"{stem}/RECORD"])
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            archive.writestr(path, data)
        for path, to in (links or {}).items():
            entry = zipfile.ZipInfo(path)
            entry.create_system = 3
            entry.external_attr = 0o120777 << 16
            archive.writestr(entry, to)
        for path, text in (own | {f"{stem}/RECORD": record}).items():
            archive.writestr(path, text)
    return target.getvalue()


@dataclass
class PackageIndex:
    """What is offered. `requests` are the paths asked for."""

    url: str = ""
    requests: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    _listed: dict[str, list[dict[str, object]]] = field(default_factory=dict)

    def add(
        self,
        name: str,
        version: str,
        files: Mapping[str, bytes] | None = None,
        *,
        requires: tuple[str, ...] = (),
        links: Mapping[str, str] | None = None,
        uploaded: str = LONG_AGO,
    ) -> None:
        """Offer a wheel; without files it is one module that knows its version."""
        module = name.replace("-", "_")
        content = files or {f"{module}/__init__.py": f"version = {version!r}\n".encode()}
        data = wheel(name, version, content, requires=requires, links=links)
        self.add_file(name, f"{module}-{version}-py3-none-any.whl", data, uploaded=uploaded)

    def add_file(
        self, name: str, filename: str, data: bytes, *, uploaded: str = LONG_AGO, digest: str = ""
    ) -> None:
        """Offer any file, under a wrong digest if need be."""
        self.files[filename] = data
        self._listed.setdefault(name, []).append(
            {
                "filename": filename,
                "url": f"/files/{filename}",
                "hashes": {"sha256": digest or hashlib.sha256(data).hexdigest()},
                "upload-time": uploaded,
                "size": len(data),
            }
        )

    def answer(self, path: str) -> tuple[str, bytes] | None:
        """Content type and body; None is not found."""
        self.requests.append(path)
        if path.startswith("/files/"):
            data = self.files.get(path.removeprefix("/files/"))
            return None if data is None else ("application/octet-stream", data)
        name = path.removeprefix("/simple/").strip("/")
        if name not in self._listed:
            return None
        page = {"meta": {"api-version": "1.1"}, "name": name, "files": self._listed[name]}
        return "application/vnd.pypi.simple.v1+json", json.dumps(page).encode()


@contextmanager
def package_index() -> Iterator[PackageIndex]:
    """An empty index that answers at its `url` until the end."""
    index = PackageIndex()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wfile.write(self._head())

        def do_HEAD(self) -> None:
            self._head()

        def _head(self) -> bytes:
            found = index.answer(self.path)
            self.send_response(200 if found else 404)
            kind, body = found or ("text/plain", b"")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            return body

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Tests look at `requests`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    index.url = f"http://127.0.0.1:{server.server_address[1]}/simple"
    try:
        yield index
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

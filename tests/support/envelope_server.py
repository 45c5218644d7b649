"""A local server that takes error reports in the envelope protocol and keeps what came."""

import gzip
import json
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Envelopes:
    """What came, in order; `raw` is all of it as text, for what must not be in there."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.raw: list[str] = []
        self.status = 200
        self.hangs = False
        self.over = threading.Event()
        self.port = 0
        self._came = threading.Condition()

    def dsn(self, project: int = 1) -> str:
        """The address of a project here."""
        return f"http://publickey@127.0.0.1:{self.port}/{project}"

    def take(self, body: bytes, path: str) -> None:
        """One envelope: a header, then a header and a payload for each item."""
        lines = body.split(b"\n")
        assert "sent_at" in json.loads(lines[0])
        for head, payload in zip(lines[1::2], lines[2::2], strict=False):
            if head and json.loads(head)["type"] == "event":
                with self._came:
                    self.events.append(json.loads(payload) | {"to": path})
                    self._came.notify_all()
        self.raw.append(body.decode())

    def wait(self, count: int = 1, seconds: float = 10) -> list[dict[str, Any]]:
        """The events, when so many are there."""
        deadline = time.monotonic() + seconds
        with self._came:
            while len(self.events) < count:
                left = deadline - time.monotonic()
                assert left > 0, f"{len(self.events)} of {count} events came"
                self._came.wait(left)
            return list(self.events)


@contextmanager
def envelope_server() -> Iterator[Envelopes]:
    """On a port of loopback, in a thread."""
    taken = Envelopes()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            encoding = self.headers.get("content-encoding")
            assert "publickey" in self.headers["x-sentry-auth"]
            if taken.hangs:
                taken.over.wait(30)
            if encoding == "gzip":
                body = gzip.decompress(body)
            elif encoding == "deflate":
                body = zlib.decompress(body)
            taken.take(body, self.path)
            self.send_response(taken.status)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    taken.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield taken
    finally:
        taken.over.set()
        server.shutdown()
        server.server_close()
        thread.join()

"""The peer: the obvious FastAPI + httpx proxy with the same key, limit and usage checks."""

import argparse
import hashlib
import hmac
import json
import time
from collections import deque
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
WINDOWS = {60: 10_000_000, 3600: 100_000_000, 86400: 1_000_000_000}


def build(unix: str, key: str, journal: Path) -> FastAPI:
    """The proxy in front of one Unix socket, for one key."""
    app = FastAPI()
    secret = b"peer"
    known = {hmac.new(secret, key.encode(), hashlib.sha256).hexdigest()}
    counted: dict[int, deque[float]] = {seconds: deque() for seconds in WINDOWS}
    client = httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(uds=unix), base_url="http://sandbox"
    )
    file = journal.open("a")

    def admit() -> None:
        now = time.time()
        for seconds, calls in counted.items():
            while calls and calls[0] <= now - seconds:
                calls.popleft()
            if len(calls) >= WINDOWS[seconds]:
                raise HTTPException(429)
        for calls in counted.values():
            calls.append(now)

    @app.api_route("/{api_id}/{path:path}", methods=METHODS)
    async def proxy(api_id: str, path: str, request: Request) -> StreamingResponse:
        begin = time.perf_counter()
        presented = request.headers.get("authorization", "").removeprefix("Bearer ")
        if hmac.new(secret, presented.encode(), hashlib.sha256).hexdigest() not in known:
            raise HTTPException(401)
        admit()
        headers = [(k, v) for k, v in request.headers.raw if k != b"authorization"]
        upstream = client.build_request(
            request.method, f"/{path}", headers=headers, content=request.stream()
        )
        answer = await client.send(upstream, stream=True)
        file.write(json.dumps({"api": api_id, "at": begin, "status": answer.status_code}) + "\n")
        file.flush()
        return StreamingResponse(
            answer.aiter_raw(),
            status_code=answer.status_code,
            headers=dict(answer.headers),
            background=BackgroundTask(answer.aclose),
        )

    return app


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--unix", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--journal", type=Path, required=True)
    chosen = parser.parse_args()
    uvicorn.run(
        build(chosen.unix, chosen.key, chosen.journal),
        host="127.0.0.1",
        port=chosen.port,
        access_log=False,
        log_level="warning",
        http="httptools",
        loop="uvloop",
    )


if __name__ == "__main__":
    main()

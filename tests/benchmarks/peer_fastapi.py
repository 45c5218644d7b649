"""The obvious peer: FastAPI in front, httpx behind."""

import httpx
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask

from tests.benchmarks.peer_common import Gate

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


def build(gate: Gate) -> FastAPI:
    """The proxy in front of one Unix socket."""
    app = FastAPI()
    client = httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(uds=gate.unix), base_url="http://sandbox"
    )

    @app.api_route("/{api_id}/{path:path}", methods=METHODS)
    async def proxy(path: str, request: Request) -> StreamingResponse:
        status = await gate.refusal(request.headers.get("x-api-key", ""))
        if status:
            raise HTTPException(status)
        headers = [(k, v) for k, v in request.headers.raw if k != b"x-api-key"]
        upstream = client.build_request(
            request.method, f"/{path}", headers=headers, content=request.stream()
        )
        answer = await client.send(upstream, stream=True)
        return StreamingResponse(
            answer.aiter_raw(),
            status_code=answer.status_code,
            headers=dict(answer.headers),
            background=BackgroundTask(answer.aclose),
        )

    return app


def main() -> None:
    """Serve until ended."""
    gate = Gate()
    uvicorn.run(
        build(gate),
        host="127.0.0.1",
        port=gate.port,
        access_log=False,
        log_level="warning",
        http="httptools",
        loop="uvloop",
    )


if __name__ == "__main__":
    main()

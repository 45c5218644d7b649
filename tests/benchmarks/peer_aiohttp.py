"""aiohttp on both sides, on uvloop: the fastest of the usual Python ways."""

import uvloop
from aiohttp import ClientSession, ClientTimeout, UnixConnector, web

from tests.benchmarks.peer_common import Gate


def build(gate: Gate) -> web.Application:
    """The proxy in front of one Unix socket."""
    app = web.Application(client_max_size=0)
    sessions: list[ClientSession] = []

    async def opened(_app: web.Application) -> None:
        connector = UnixConnector(gate.unix, limit=128)
        timeout = ClientTimeout(total=None)
        sessions.append(
            ClientSession("http://sandbox", connector=connector, timeout=timeout,
                          auto_decompress=False)
        )  # fmt: skip

    async def proxy(request: web.Request) -> web.StreamResponse:
        status = await gate.refusal(request.headers.get("X-API-Key", ""))
        if status:
            return web.Response(status=status)
        path = "/" + request.match_info["path"]
        headers = request.headers.copy()
        headers.pop("X-API-Key", None)
        body = request.content if request.body_exists else None
        async with sessions[0].request(request.method, path, headers=headers, data=body) as answer:
            if (answer.content_length or 1 << 20) < 1 << 16:
                whole = await answer.read()
                return web.Response(status=answer.status, headers=answer.headers, body=whole)
            stream = web.StreamResponse(status=answer.status, headers=answer.headers)
            await stream.prepare(request)
            async for part in answer.content.iter_any():
                await stream.write(part)
            return stream

    app.on_startup.append(opened)
    app.router.add_route("*", "/{api_id}/{path:.*}", proxy)
    return app


def main() -> None:
    """Serve until ended."""
    gate = Gate()
    uvloop.install()
    web.run_app(build(gate), host="127.0.0.1", port=gate.port, access_log=None, print=None)


if __name__ == "__main__":
    main()

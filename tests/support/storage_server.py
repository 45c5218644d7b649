"""A server that speaks the storage API of Supabase, as far as files are put, got and deleted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


@dataclass(slots=True)
class StorageServer:
    """Its buckets; `failure` is answered to everything, in the API's own shape."""

    url: str = ""
    key: str = "sb_secret_of_this_test"
    buckets: dict[str, dict[str, bytes]] = field(default_factory=dict)
    headers: list[dict[str, str]] = field(default_factory=list)
    failure: Response | None = None

    def application(self) -> Starlette:
        """The routes."""
        return Starlette(
            routes=[
                Route("/storage/v1/bucket", self._make_bucket, methods=["POST"]),
                Route("/storage/v1/object/{bucket}", self._remove, methods=["DELETE"]),
                Route("/storage/v1/object/{bucket}/{path:path}", self._put, methods=["POST"]),
                Route("/storage/v1/object/{bucket}/{path:path}", self._get, methods=["GET"]),
            ]
        )

    async def _make_bucket(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        asked = await request.json()
        assert asked["public"] is False
        if asked["id"] in self.buckets:
            return hidden(409, "Duplicate", "The resource already exists")
        self.buckets[asked["id"]] = {}
        return JSONResponse({"name": asked["name"]})

    async def _put(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        bucket, path = request.path_params["bucket"], request.path_params["path"]
        if bucket not in self.buckets:
            return hidden(404, "Bucket not found", "Bucket not found")
        if path in self.buckets[bucket] and request.headers.get("x-upsert") != "true":
            return hidden(409, "Duplicate", "The resource already exists")
        async with request.form() as form:
            file = form["file"]
            assert isinstance(file, UploadFile)
            self.buckets[bucket][path] = await file.read()
        return JSONResponse({"Key": f"{bucket}/{path}"})

    async def _get(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        objects = self.buckets.get(request.path_params["bucket"], {})
        if request.path_params["path"] not in objects:
            return hidden(404, "not_found", "Object not found")
        return Response(objects[request.path_params["path"]])

    async def _remove(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        objects = self.buckets.get(request.path_params["bucket"], {})
        gone = [path for path in (await request.json())["prefixes"] if objects.pop(path, None)]
        return JSONResponse([{"name": path} for path in gone])

    def _refused(self, request: Request) -> Response | None:
        self.headers.append(dict(request.headers))
        if self.failure is not None:
            return self.failure
        if request.headers.get("apikey") != self.key:
            return hidden(403, "Unauthorized", "Invalid Compact JWS")
        return None


def hidden(status: int, error: str, message: str) -> Response:
    """How the API tells many a failure: the status is in the body."""
    return JSONResponse({"statusCode": str(status), "error": error, "message": message}, 400)


@asynccontextmanager
async def storage_server() -> AsyncIterator[StorageServer]:
    """A running one."""
    made = StorageServer()
    server = uvicorn.Server(
        uvicorn.Config(
            made.application(), port=0, lifespan="off", ws="none", log_config=None, access_log=False
        )
    )
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(20):
        while not server.started:
            await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    made.url = f"http://127.0.0.1:{port}"
    try:
        yield made
    finally:
        server.should_exit = True
        await task

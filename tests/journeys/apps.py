"""Files of Python as creators would send them."""

METHODS = """
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

app = FastAPI()
ITEMS: dict[int, str] = {}


@app.get("/")
def root():
    return {"message": "Hello from user API"}


@app.get("/items/{number}")
def read(number: int):
    return {"item": ITEMS.get(number)}


@app.post("/items/{number}", status_code=201)
def create(number: int, value: str):
    ITEMS[number] = value
    return {"item": value}


@app.put("/items/{number}")
def replace(number: int, value: str):
    ITEMS[number] = value
    return {"item": value}


@app.patch("/items/{number}")
def change(number: int, value: str):
    ITEMS[number] += value
    return {"item": ITEMS[number]}


@app.delete("/items/{number}", status_code=204)
def remove(number: int):
    del ITEMS[number]


@app.head("/items/{number}")
def head(number: int):
    return Response(headers={"x-item": ITEMS.get(number, "none")})


@app.options("/items/{number}")
def options(number: int):
    return Response(headers={"allow": "GET, POST"})


@app.post("/upload")
async def upload(request: Request):
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
    return {"size": size}


@app.get("/large")
def large(size: int):
    def chunks():
        left = size
        while left:
            part = min(left, 65536)
            left -= part
            yield b"s" * part

    return StreamingResponse(chunks(), media_type="application/octet-stream")


@app.get("/seen")
def seen(request: Request):
    return {
        "headers": request.headers.items(),
        "url": str(request.url),
        "root_path": request.scope["root_path"],
        "client": request.client.host,
        "query": request.url.query,
    }


@app.get("/print")
def prints(text: str):
    print(text, flush=True)
    return {}


@app.get("/exit")
def leave():
    import os

    os._exit(3)
"""

USER_APP = """
from fastapi import FastAPI

user_app = FastAPI()


@user_app.get("/")
def root():
    return {"message": "Hello from user API"}
"""

VERSIONED = """
import asyncio
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def root():
    await asyncio.sleep(0.02)
    return {{"version": {number}}}
"""

BROKEN = {
    "syntax_error": "from fastapi import FastAPI\napp = FastAPI(\n",
    "no_app": "value = 1\n",
    "import_error": "import numpy_that_is_not_there\n",
    "exception": (
        "from fastapi import FastAPI\napp = FastAPI()\n\n\n"
        "def fail():\n    raise ValueError('seven')\n\n\nfail()\n"
    ),
    "deadline": "while True:\n    pass\n",
    "exited": "import os\nos._exit(7)\n",
}


def hungry(megabytes: int) -> str:
    """Code that fills so much memory while it is imported."""
    return f"filled = b'x' * ({megabytes} * 1024 * 1024)\n{USER_APP}"

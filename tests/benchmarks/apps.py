"""What stands behind every proxy: the smallest FastAPI app, and one that is bare ASGI."""

FASTAPI = """from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def root():
    return {"message": "Hello from user API"}
"""

BARE = """BODY = b'{"message":"Hello from user API"}'
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(BODY)),
    ],
}
REST = {"type": "http.response.body", "body": BODY}


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": kind + ".complete"})
            if kind == "lifespan.shutdown":
                return
    await send(START)
    await send(REST)
"""

STREAMING = """CHUNK = b"s" * 65536


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": kind + ".complete"})
            if kind == "lifespan.shutdown":
                return
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    left = int(scope["query_string"] or b"0")
    if not left:
        body = b"%d" % size
        head = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})
        return
    head = [(b"content-length", b"%d" % left)]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    while left:
        part = CHUNK[:left]
        left -= len(part)
        await send({"type": "http.response.body", "body": part, "more_body": left > 0})
"""

ECHO = """from fastapi import FastAPI, WebSocket, WebSocketDisconnect

app = FastAPI()


@app.get("/")
async def root():
    return {"message": "Hello from user API"}


@app.websocket("/echo")
async def echo(socket: WebSocket):
    await socket.accept()
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect:
        return
"""

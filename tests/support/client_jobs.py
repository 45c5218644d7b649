"""Jobs of the small server: each goes through the steps that a test wrote down."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

Step = tuple[str, str, dict[str, Any]]  # kind, text, what it changes of the job
CONTRACT = {
    "operations": [
        {
            "method": "POST",
            "path": "/facts/{kind}",
            "summary": "A fact",
            "examples": [{"path": "/facts/cat's", "query": {"n": "1 2"}, "body": {"a": "ü"}}],
        }
    ]
}
GOOD: tuple[Step, ...] = (
    ("started", "Started.", {"status": "running"}),
    ("contract", "One operation.", {"contract": CONTRACT}),
    ("writing", "120 characters", {}),
    ("gate", "The static gate passed.", {}),
    ("deployed", "It answers.", {"status": "succeeded", "cost_nano_usd": 12_300_000}),
)


@dataclass
class Jobs:
    """What was asked, and how the next job goes. A step with `waits` stops until it is answered."""

    steps: tuple[Step, ...] = GOOD
    breaks_after: int | None = None  # the first connection ends behind this event
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    resumed: list[str] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    cancelled: bool = False
    done: int = 0
    job: dict[str, Any] = field(default_factory=dict)
    decisions: list[tuple[str, Any]] = field(default_factory=list)

    def begin(self, path: str, body: dict[str, Any], api_id: str) -> dict[str, Any]:
        self.asked.append((path, body))
        self.done = 0
        self.job = {
            "id": "j1", "status": "queued", "waiting_for": None, "api_id": api_id, "version": 1,
            "questions": [], "assumptions": ["in \x1b[31mEnglish"], "findings": [],
        }  # fmt: skip
        return {"id": "j1", "status": "queued"}

    def events(self, seen: int) -> Iterator[str]:
        """The next steps; stops where the job waits, breaks off once when told."""
        if seen:
            self.resumed.append(str(seen))
        for number, (kind, text, changes) in enumerate(self.steps, 1):
            if number > self.done:
                if self.job["waiting_for"]:
                    yield ": still here\n\n"
                    return
                self.job.update(changes)
                self.done, self.job["events"] = number, number
            if number > seen:
                event = {"n": number, "kind": kind, "text": text, "data": {}}
                yield f"id: {number}\nevent: {kind}\ndata: {json.dumps(event)}\n\n"
            if number == self.breaks_after:
                self.breaks_after = None
                return


def add_routes(
    app: FastAPI, jobs: Callable[[], Jobs], make_api: Callable[[str], dict[str, Any]]
) -> None:
    @app.get("/api/templates/{slug}")
    async def template(slug: str) -> dict[str, Any]:
        return {"slug": slug, "title": "To-do list", "contract": CONTRACT}

    @app.post("/api/generate", status_code=202)
    async def generate(request: Request) -> dict[str, Any]:
        body = await request.json()
        return jobs().begin("/api/generate", body, make_api(body.get("name") or "made")["id"])

    @app.post("/api/apis/{api_id}/edits", status_code=202)
    async def edit(api_id: str, request: Request) -> dict[str, Any]:
        return jobs().begin("edits", await request.json(), api_id)

    @app.get("/api/jobs/{job_id}")
    async def read(job_id: str) -> dict[str, Any]:
        return jobs().job

    @app.get("/api/jobs/{job_id}/events")
    async def events(job_id: str, request: Request) -> Response:
        seen = int(request.headers.get("last-event-id", "0"))
        return StreamingResponse(jobs().events(seen), media_type="text/event-stream")

    @app.post("/api/jobs/{job_id}/approve")
    async def approve(job_id: str, request: Request) -> dict[str, Any]:
        jobs().answers.append(await request.json())
        jobs().job["waiting_for"] = None
        return jobs().job

    @app.post("/api/jobs/{job_id}/cancel")
    async def cancel(job_id: str) -> dict[str, Any]:
        jobs().cancelled = True
        jobs().job.update(status="cancelled", waiting_for=None)
        return jobs().job

    @app.get("/api/edits/{job_id}")
    async def read_edit(job_id: str) -> dict[str, Any]:
        return {
            "version": 2, "level": "major", "breaking": ["GET /facts is gone"],
            "diff": "-a\n+b", "decision": "open",
        }  # fmt: skip

    @app.post("/api/edits/{job_id}/{decision}")
    async def decide(job_id: str, decision: str, request: Request) -> Response:
        body = json.loads(await request.body() or b"null")
        jobs().decisions.append((decision, body))
        return JSONResponse({"version": 2, "decision": f"{decision}ed"})

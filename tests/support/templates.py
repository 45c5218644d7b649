"""A library of one template, written by the tests."""

from dataclasses import dataclass

from generator.contract import Contract

BODY = """
@router.get("/now")
async def now() -> dict[str, str]:
    return {"now": "12:00"}
"""
CONTRACT = {
    "title": "Clock",
    "summary": "Tells the time.",
    "operations": [
        {
            "id": "now",
            "method": "GET",
            "path": "/now",
            "summary": "The time",
            "parameters": [{"name": "zone", "location": "query", "schema": {"type": "string"}}],
            "examples": [{"name": "now", "path": "/now", "status": 200}],
        }
    ],
}


@dataclass(frozen=True, slots=True)
class MadeTemplate:
    """What the loop and the worker ask of a template."""

    slug: str
    contract: Contract
    body: str


CLOCK = MadeTemplate("clock", Contract.model_validate(CONTRACT), BODY)


class OneTemplate:
    """The clock, and nothing else."""

    def find(self, text: str) -> MadeTemplate | None:
        """By its name in the text."""
        return CLOCK if "clock" in text else None

    def get(self, slug: str) -> MadeTemplate | None:
        """By its slug."""
        return CLOCK if slug == CLOCK.slug else None


def assembled(contract: Contract, body: str) -> str:
    """A whole file, without what the platform's own template has."""
    title = repr(contract.title)
    head = f"from fastapi import APIRouter, FastAPI\n\napp = FastAPI(title={title})\n"
    return f"{head}router = APIRouter()\n{body}\napp.include_router(router)\n"

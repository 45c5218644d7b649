"""What an app says of itself: kept at deployment, shown, and held against calls."""

from typing import Any

import httpx
import pytest

from tests.support.installation import Installation

CATS = """
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI(title="Cats <script>alert(1)</script>")

class Cat(BaseModel):
    name: str
    age: int

@app.post("/cats/{n}")
def add(n: int, cat: Cat) -> dict[str, int]:
    return {"age": cat.age}
"""
HOSTILE = {
    "raises": "raise ValueError('no')",
    "hangs": "\n    while True: pass",
    "giant": "return {'x': 'a' * 100_000_000}",
}


def client(made: Installation, value: Any) -> httpx.Client:
    made.lift_limits(value["tenant_id"])
    return httpx.Client(
        base_url=f"{made.url}/{value['id']}",
        headers={"X-API-Key": value["api_key"]},
        timeout=60,
        trust_env=False,
    )


def test_an_api_shows_what_it_offers_and_holds_calls_to_it(made: Installation) -> None:
    value = made.deploy("cats with a document", CATS)
    with client(made, value) as api, made.admin() as owner:
        document = api.get("/openapi.json")
        assert list(document.json()["paths"]) == ["/cats/{n}"]
        assert document.json()["servers"] == [{"url": f"/{value['id']}"}]
        known = {"If-None-Match": document.headers["etag"]}
        assert api.get("/openapi.json", headers=known).status_code == 304
        page = api.get("/docs")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "<script" not in page.text
        assert httpx.get(f"{api.base_url}docs", trust_env=False).status_code == 401
        assert api.post("/cats/1", json={"name": "tom"}).json()["detail"][0]["type"] == "missing"

        settings = {"call_settings": {"validate": True, "documents": "public"}}
        assert owner.patch(f"/api/apis/{value['id']}", json=settings).status_code == 200
        refused = api.post("/cats/1", json={"name": "tom"})
        assert (refused.status_code, refused.json()["code"]) == (422, "request_invalid")
        assert refused.json()["errors"] == [{"field": "body.age", "detail": "is missing"}]
        assert api.post("/cats/1", json={"name": "tom", "age": "3"}).json() == {"age": 3}
        assert httpx.get(f"{api.base_url}docs", trust_env=False).status_code == 200


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_an_app_whose_document_is_hostile_is_deployed_and_says_why(
    made: Installation, body: str
) -> None:
    code = f"{CATS}\ndef openapi():\n    {body}\n\napp.openapi = openapi\n"
    value = made.deploy("hostile document", code)
    with client(made, value) as api, made.admin() as owner:
        answer = api.post("/cats/1", json={"name": "tom", "age": 3})
        assert (answer.status_code, answer.json()) == (200, {"age": 3})
        version = owner.get(f"/api/apis/{value['id']}/versions/1").json()
        assert version["openapi_note"]
        assert owner.get(f"/api/apis/{value['id']}/versions/1/openapi.json").status_code == 404
        owner.delete(f"/api/apis/{value['id']}")

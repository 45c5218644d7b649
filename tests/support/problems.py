"""The one check of an error answer."""

from typing import Any

import httpx

MEMBERS = {"type", "title", "status", "detail", "code", "request_id"}
HIDDEN = ("Traceback (most", "asyncpg", "select ", "insert into", "/gateway/", "PT4")


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The answer is a problem document of this status and code, and tells nothing internal."""
    document: dict[str, Any] = answer.json()
    assert (answer.status_code, document["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert document.keys() >= MEMBERS
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    assert document["request_id"] == answer.headers["x-request-id"]
    assert not [hint for hint in HIDDEN if hint in document["detail"]]
    if status == 401:
        assert answer.headers["www-authenticate"] == "Bearer"
    return document

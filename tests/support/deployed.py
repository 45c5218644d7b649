"""One API of an installation with its owner and a caller, as journeys use it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from tests.support.installation import Installation
from tests.support.waiting import until_blocking


class Deployed:
    """An API that lives for one test."""

    def __init__(self, made: Installation, owner: httpx.Client, value: Mapping[str, Any]) -> None:
        self.made, self.owner, self.value = made, owner, value
        self.id: str = value["id"]
        self.key: str = value["api_key"]
        made.lift_limits(value["tenant_id"])

    def call(self, path: str = "", **more: Any) -> httpx.Response:
        """One GET with its own key."""
        with self.made.client(Authorization=f"Bearer {self.key}") as client:
            return client.get(f"/{self.id}{path}", **more)

    def ask(self, path: str = "", **more: Any) -> Any:
        """The JSON of a call that must be answered 200."""
        answer = self.call(path, **more)
        assert answer.status_code == 200, f"{answer.text}\n{self.made.logs()}"
        return answer.json()

    def problem(self, path: str = "") -> tuple[int, str]:
        """Status and code of a call that must fail."""
        answer = self.call(path)
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        return answer.status_code, answer.json()["code"]

    def send(self, method: str, path: str, expected: int, **more: Any) -> Any:
        """A request of the owner below `/api/apis/{id}`; the JSON of its answer, if any."""
        answer = self.owner.request(method, f"/api/apis/{self.id}{path}", **more)
        assert answer.status_code == expected, f"{answer.text}\n{self.made.logs()}"
        return answer.json() if answer.content else None

    def log(self) -> str:
        """All lines that its owner can read."""
        return "\n".join(line["text"] for line in self.send("GET", "/logs", 200)["items"])

    def until_logged(self, text: str, seconds: float = 15) -> str:
        """Wait until the owner's log has the text."""
        until_blocking(lambda: text in self.log(), seconds)
        return self.log()

    def sandboxes(self) -> list[dict[str, Any]]:
        """Its living sandboxes and those that ended last."""
        found: list[dict[str, Any]] = self.send("GET", "/sandboxes", 200)["items"]
        return found

    def until_ended(self, end: str, seconds: float = 20) -> dict[str, Any]:
        """Wait until one of its sandboxes ended for this reason."""

        def ended() -> list[dict[str, Any]]:
            return [one for one in self.sandboxes() if one["end"] == end]

        until_blocking(lambda: bool(ended()), seconds)
        return ended()[-1]


@contextmanager
def deployed(made: Installation, name: str, code: str, **more: Any) -> Iterator[Deployed]:
    """A fresh API, removed at the end."""
    with made.admin() as owner:
        one = Deployed(made, owner, made.deploy(name, code, **more))
        try:
            yield one
        finally:
            owner.delete(f"/api/apis/{one.id}")

"""Somebody who is written to, as tests of mailed links have them."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from supabase_auth import AsyncGoTrueClient

from tests.support.issuer import RunningIssuer
from tests.support.post import Mailbox, token_of

PASSWORD = "correct horse"


class Person:
    """Somebody with a mailbox and the client of an app."""

    def __init__(self, issuer: RunningIssuer, mailbox: Mailbox, email: str) -> None:
        self.issuer, self.mailbox, self.email = issuer, mailbox, email
        self.client: AsyncGoTrueClient = issuer.client()

    async def sign_up(self, password: str = PASSWORD) -> dict[str, Any]:
        body = {"email": self.email, "password": password}
        answer = await self.issuer.http.post("/signup", json=body)
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    async def confirmed(self) -> "Person":
        await self.sign_up()
        token = token_of(await self.mailbox.next())
        answer = await self.verify({"type": "signup", "token_hash": token})
        assert answer.status_code == 200, answer.text
        await self.client.sign_in_with_password({"email": self.email, "password": PASSWORD})
        self.wait()
        return self

    async def verify(self, body: dict[str, Any]) -> httpx.Response:
        return await self.issuer.http.post("/verify", json=body)

    async def open(self, query: dict[str, str]) -> httpx.Response:
        return await self.issuer.http.get("/verify", params=query)

    async def sign_in(self, password: str = PASSWORD) -> httpx.Response:
        return await self.issuer.sign_in(self.email, password)

    async def ask(self, path: str, **body: Any) -> httpx.Response:
        self.wait()
        return await self.issuer.http.post(path, json={"email": self.email, **body})

    async def token(self) -> str:
        session = await self.client.get_session()
        assert session is not None
        return session.access_token

    def wait(self) -> None:
        """Until another letter may be sent."""
        self.issuer.clock.ahead += 61


def fragment_of(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 303
    parts = urlsplit(answer.headers["location"])
    return {name: values[0] for name, values in parse_qs(parts.fragment).items()}

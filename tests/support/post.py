"""Letters that arrive: a carrier that keeps them, and a mail server that speaks SMTP."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from urllib.parse import parse_qs, urlsplit

from aiosmtpd.smtp import SMTP, Envelope, Session

from gateway.auth.issuer.mail import Letter


@dataclass(slots=True)
class Mailbox:
    """A carrier whose letters are read by the test."""

    letters: "asyncio.Queue[Letter]" = field(default_factory=asyncio.Queue)

    async def carry(self, letter: Letter) -> None:
        """Keep it."""
        self.letters.put_nowait(letter)

    async def next(self) -> Letter:
        """The next letter, once it is there."""
        return await asyncio.wait_for(self.letters.get(), 20)


def token_of(letter: Letter) -> str:
    """The token in a letter's link."""
    return parse_qs(urlsplit(letter.link).query)["token"][0]


def query_of(letter: Letter) -> dict[str, str]:
    """What a letter's link asks for."""
    return {name: values[0] for name, values in parse_qs(urlsplit(letter.link).query).items()}


@dataclass(slots=True)
class MailServer:
    """What an SMTP server was given; `refusals` are answered first."""

    port: int
    refusals: list[str]
    received: "asyncio.Queue[EmailMessage]" = field(default_factory=asyncio.Queue)
    addressees: list[str] = field(default_factory=list)

    async def handle_DATA(  # noqa: N802 - the name that aiosmtpd calls
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Keep the letter, or refuse it."""
        if self.refusals:
            return self.refusals.pop(0)
        self.addressees += envelope.rcpt_tos
        content = envelope.content
        assert isinstance(content, bytes)
        message = message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.received.put_nowait(message)
        return "250 OK"

    async def next(self) -> EmailMessage:
        """The next letter, once it is there."""
        return await asyncio.wait_for(self.received.get(), 20)


def link_in(message: EmailMessage) -> str:
    """The link in a letter's text."""
    found = re.search(r"https?://\S+", message.get_content())
    assert found is not None
    return found[0]


@asynccontextmanager
async def mail_server(*refusals: str) -> AsyncIterator[MailServer]:
    """A real SMTP server on a loopback port."""
    handler = MailServer(0, list(refusals))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(handler, hostname="mail.example", loop=loop), "127.0.0.1", 0
    )
    handler.port = server.sockets[0].getsockname()[1]
    try:
        yield handler
    finally:
        server.close()
        await server.wait_closed()

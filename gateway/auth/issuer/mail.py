"""Letters and who carries them: an SMTP server, the log in development, nobody."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Literal, Protocol

import aiosmtplib
import structlog

from gateway.auth.issuer.errors import BusyError, EmailDisabledError

_log = structlog.get_logger(__name__)
_SECONDS = 15.0
_PAUSES = (1.0, 5.0)  # before the second try and the third
_UNDER_WAY = 200
_CLOSING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail; `link` and `code`, where it has them, are in its text too."""

    to: str
    subject: str
    text: str
    link: str = ""
    code: str = ""


class Carrier(Protocol):
    """Takes a letter away; raises OSError when it could not."""

    async def carry(self, letter: Letter) -> None:
        """Hand it over."""
        ...


@dataclass(frozen=True, slots=True)
class SmtpCarrier:
    """Through the operator's mail server."""

    host: str
    port: int
    sender: str
    user: str | None = None
    password: str | None = None
    tls: Literal["starttls", "tls", "off"] = "starttls"
    pauses: tuple[float, ...] = _PAUSES

    async def carry(self, letter: Letter) -> None:
        """Try three times; what a server refuses for good is not tried again."""
        for pause in self.pauses:
            try:
                return await self._send(letter)
            except aiosmtplib.SMTPResponseException as error:
                if error.code >= 500:
                    raise
            except (aiosmtplib.SMTPException, OSError):
                _log.info("mail_delayed", host=self.host)
            await asyncio.sleep(pause)
        return await self._send(letter)

    async def _send(self, letter: Letter) -> None:
        await aiosmtplib.send(
            message_of(letter, self.sender),
            hostname=self.host,
            port=self.port,
            username=self.user,
            password=self.password,
            use_tls=self.tls == "tls",
            start_tls=self.tls == "starttls",
            timeout=_SECONDS,
        )


class LogCarrier:
    """In development: the link is in the log, and a letter without one as a whole."""

    async def carry(self, letter: Letter) -> None:
        """Write it down."""
        said = {"link": letter.link, "code": letter.code} if letter.link else {"text": letter.text}
        _log.warning("mail_not_sent", to=letter.to, subject=letter.subject, **said)


class Outbox:
    """Work behind an answer, so that its time tells nothing about who has an account."""

    def __init__(self, carrier: Carrier | None) -> None:
        self._carrier = carrier
        self._under_way: set[asyncio.Task[None]] = set()

    @property
    def enabled(self) -> bool:
        """Whether mail can be sent at all."""
        return self._carrier is not None

    @property
    def reaches_people(self) -> bool:
        """Whether what is sent gets further than a log."""
        return self.enabled and not isinstance(self._carrier, LogCarrier)

    def check(self) -> None:
        """Refuse what cannot be carried, before anything is said about anybody."""
        if self._carrier is None:
            raise EmailDisabledError
        if len(self._under_way) >= _UNDER_WAY:
            raise BusyError

    def later(self, work: Coroutine[None, None, Letter | None]) -> None:
        """Do the work and send what it makes."""
        task = asyncio.create_task(self._do(work))
        self._under_way.add(task)
        task.add_done_callback(self._done)

    def send(self, letter: Letter) -> None:
        """Send a letter that is written."""
        self.later(_written(letter))

    async def close(self) -> None:
        """What is under way gets a little time."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=_CLOSING_SECONDS)
        for task in list(self._under_way):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _do(self, work: Coroutine[None, None, Letter | None]) -> None:
        letter = await work
        if letter is not None and self._carrier is not None:
            await self._carrier.carry(letter)

    def _done(self, task: asyncio.Task[None]) -> None:
        """The person asks again; the operator reads why."""
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("mail_failed", exc_info=error)


def message_of(letter: Letter, sender: str) -> EmailMessage:
    """The letter as it travels."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = letter.to
    message["Subject"] = " ".join(letter.subject.split())  # a header has one line
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2].rstrip(">") or None)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    return message


async def _written(letter: Letter) -> Letter:
    return letter

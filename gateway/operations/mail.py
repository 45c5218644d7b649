"""Mail as the use cases send it: a small port, and the outbox that the issuer's letters use too."""

from typing import Protocol

import structlog

from gateway.auth.issuer.errors import BusyError, EmailDisabledError
from gateway.auth.issuer.mail import Letter, Outbox

_log = structlog.get_logger(__name__)


class Mailer(Protocol):
    """Sends mail to people. It keeps a deadline of its own and does not raise."""

    async def send(self, to: str, subject: str, text: str) -> bool:
        """Whether the mail is on its way; false when it could not be handed on."""
        ...


class OutboxMail:
    """Behind the answer, as the issuer's letters; nobody waits for the mail server."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def send(self, to: str, subject: str, text: str) -> bool:
        """On its way only where a server takes it: a log reaches nobody."""
        try:
            self._outbox.check()
        except (EmailDisabledError, BusyError) as error:
            # the text may open doors, so a log of production is no place for it
            _log.info("mail_not_sent", reason=type(error).__name__)
            return False
        self._outbox.send(Letter(to, subject, text))
        return self._outbox.reaches_people

"""Mail as the use cases send it: a small port, and the one that stands in until there is mail."""

from typing import Protocol

import structlog

_log = structlog.get_logger(__name__)


class Mailer(Protocol):
    """Sends mail to people. It keeps a deadline of its own and does not raise."""

    async def send(self, to: str, subject: str, text: str) -> bool:
        """Whether the mail is on its way; false when it could not be handed on."""
        ...


class LoggedMail:
    """No mail is sent. What it would have said is logged where `shows_text`: in development."""

    def __init__(self, *, shows_text: bool = False) -> None:
        self._shows_text = shows_text

    async def send(self, to: str, subject: str, text: str) -> bool:
        """Never on its way. The text may open doors, so a log of production is no place for it."""
        if self._shows_text:
            _log.info("mail_not_sent", to=to, subject=subject, text=text)
        else:
            _log.info("mail_not_sent")
        return False

"""Letters on their way: through a real SMTP server, into the log, or nowhere."""

import asyncio

import pytest
import structlog
from structlog.testing import capture_logs

from gateway.auth.issuer.configured import carrier_from
from gateway.auth.issuer.errors import BusyError, EmailDisabledError
from gateway.auth.issuer.letters import Kind, letter
from gateway.auth.issuer.mail import Letter, LogCarrier, Outbox, SmtpCarrier
from gateway.settings import Settings
from tests.support.post import link_in, mail_server

LINK = "https://sandgate.example/auth/v1/verify?" + "token=x&type=signup&redirect_to=" + "y" * 200
LETTER = letter(Kind.SIGNUP, "ann@example.com", LINK, "123456")


def carrier(port: int) -> SmtpCarrier:
    return SmtpCarrier(
        "127.0.0.1", port, "Sandgate <no-reply@sandgate.example>", tls="off", pauses=(0, 0)
    )


async def test_a_letter_arrives_whole() -> None:
    async with mail_server() as server:
        await carrier(server.port).carry(LETTER)
        message = await server.next()
    assert server.addressees == ["ann@example.com"]
    assert message["From"] == "Sandgate <no-reply@sandgate.example>"
    assert message["Subject"] == "Confirm your address"
    assert message["Message-ID"].endswith("@sandgate.example>")
    assert link_in(message) == LINK
    assert "123456" in message.get_content()


async def test_a_server_that_is_busy_is_asked_again() -> None:
    async with mail_server("451 later", "451 later") as server:
        await carrier(server.port).carry(LETTER)
        assert (await server.next())["To"] == "ann@example.com"


async def test_a_server_that_refuses_for_good_is_not_asked_again() -> None:
    async with mail_server("550 no") as server:
        outbox = Outbox(carrier(server.port))
        with capture_logs() as logs:
            outbox.send(LETTER)
            await outbox.close()
        assert server.received.empty()
    assert [entry["event"] for entry in logs] == ["mail_failed"]


async def test_a_server_without_encryption_gets_no_letter() -> None:
    async with mail_server() as server:
        demanding = SmtpCarrier("127.0.0.1", server.port, "a@b.example", pauses=())
        outbox = Outbox(demanding)
        with capture_logs() as logs:
            outbox.send(LETTER)
            await outbox.close()
        assert server.received.empty()
    assert [entry["event"] for entry in logs] == ["mail_failed"]


async def test_in_development_the_link_is_in_the_log() -> None:
    chosen = carrier_from(Settings.model_validate({}))
    assert isinstance(chosen, LogCarrier)
    structlog.reset_defaults()
    with capture_logs() as logs:
        outbox = Outbox(chosen)
        outbox.send(LETTER)
        await outbox.close()
    assert [(entry["event"], entry["link"]) for entry in logs] == [("mail_not_sent", LINK)]


def test_elsewhere_nobody_carries_mail_until_the_operator_says_who() -> None:
    assert carrier_from(Settings.model_validate({"environment": "production"})) is None
    with pytest.raises(EmailDisabledError):
        Outbox(None).check()


def test_the_operator_says_who() -> None:
    settings = Settings.model_validate(
        {
            "environment": "production",
            "smtp_host": "mail.example",
            "smtp_from": "a@b.example",
        }
    )
    assert carrier_from(settings) == SmtpCarrier("mail.example", 587, "a@b.example")


@pytest.mark.parametrize(
    "values",
    [
        {"smtp_host": "mail.example"},
        {"smtp_from": "a@b.example"},
        {"smtp_user": "ann"},
        {"auth_confirm_email": True, "environment": "production"},
        {"auth_redirect_urls": "https://app.example\n"},
        {"auth_site_url": "sandgate.example"},
    ],
    ids=str,
)
def test_half_a_setting_is_a_mistake(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"SMTP_|AUTH_|auth_"):
        Settings.model_validate(values)


async def test_letters_do_not_pile_up() -> None:
    released = asyncio.Event()

    async def slow() -> Letter | None:
        await released.wait()
        return None

    outbox = Outbox(LogCarrier())
    for _ in range(200):
        outbox.later(slow())
    with pytest.raises(BusyError):
        outbox.check()
    released.set()
    await outbox.close()
    outbox.check()

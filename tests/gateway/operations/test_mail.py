"""Mail of use cases goes the way of the issuer's letters."""

from structlog.testing import capture_logs

from gateway.auth.issuer.mail import LogCarrier, Outbox, SmtpCarrier
from gateway.operations.mail import OutboxMail
from tests.support.post import mail_server

WHAT = ("ann@example.com", "Invitation to cats on Sandgate", "sandgate invite accept sgi_secret\n")


def smtp(port: int) -> Outbox:
    return Outbox(SmtpCarrier("127.0.0.1", port, "a@b.example", tls="off", pauses=()))


async def test_a_mail_arrives_at_a_real_server() -> None:
    async with mail_server() as server:
        outbox = smtp(server.port)
        assert await OutboxMail(outbox).send(*WHAT)
        message = await server.next()
        await outbox.close()
    assert (message["To"], message["Subject"]) == WHAT[:2]
    assert message.get_content().split() == WHAT[2].split()


async def test_a_server_that_refuses_loses_the_mail_and_nothing_else() -> None:
    async with mail_server("550 no") as server:
        outbox = smtp(server.port)
        with capture_logs() as logs:
            assert await OutboxMail(outbox).send(*WHAT)
            await outbox.close()
    assert [entry["event"] for entry in logs] == ["mail_failed"]


async def test_a_subject_of_several_lines_makes_no_other_header() -> None:
    async with mail_server() as server:
        outbox = smtp(server.port)
        assert await OutboxMail(outbox).send(WHAT[0], "cats\r\nBcc: eve@example.com", "text")
        message = await server.next()
        await outbox.close()
    assert (message["Subject"], message["Bcc"]) == ("cats Bcc: eve@example.com", None)
    assert server.addressees == [WHAT[0]]


async def test_in_development_it_stands_in_the_log() -> None:
    outbox = Outbox(LogCarrier())
    with capture_logs() as logs:
        assert not await OutboxMail(outbox).send(*WHAT)
        await outbox.close()
    assert [(entry["to"], entry["subject"], entry["text"]) for entry in logs] == [WHAT]


async def test_elsewhere_the_log_does_not_tell_what_opens_doors() -> None:
    with capture_logs() as logs:
        assert not await OutboxMail(Outbox(None)).send(*WHAT)
    assert [entry["event"] for entry in logs] == ["mail_not_sent"]
    assert "sgi_secret" not in str(logs)

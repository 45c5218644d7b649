"""What of the issuer the operator decides: who carries mail, where links lead."""

from collections.abc import Mapping
from typing import Any

from gateway.auth.issuer.mail import Carrier, LogCarrier, SmtpCarrier
from gateway.auth.issuer.people import Audit
from gateway.auth.issuer.redirects import Redirects, listed_in
from gateway.settings import Settings
from gateway.store.database import SERVICE, Database


def carrier_from(settings: Settings) -> Carrier | None:
    """The mail server when there is one, the log in development, nobody else."""
    if settings.smtp_host is None:
        return LogCarrier() if settings.environment == "development" else None
    password = settings.smtp_password
    return SmtpCarrier(
        host=settings.smtp_host,
        port=settings.smtp_port,
        sender=settings.smtp_from or "",
        user=settings.smtp_user,
        password=password.get_secret_value() if password else None,
        tls=settings.smtp_tls,
    )


def redirects_from(settings: Settings, public_url: str) -> Redirects:
    """The site is where people reach this installation."""
    return Redirects(settings.auth_site_url or public_url, listed_in(settings.auth_redirect_urls))


def audited(database: Database) -> Audit:
    """Writes down what the holder of the admin key does to somebody."""

    async def audit(action: str, target_id: str, detail: Mapping[str, Any]) -> None:
        row = {
            "actor_id": None,
            "actor": "admin key",
            "action": action,
            "target_type": "user",
            "target_id": target_id,
            "detail": dict(detail),
        }
        await database.insert("audit_log", [row], identity=SERVICE)

    return audit

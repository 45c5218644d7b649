"""What of the issuer the operator decides: who carries mail, where links lead."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from gateway.auth.issuer.mail import Carrier, LogCarrier, SmtpCarrier
from gateway.auth.issuer.people import Audit
from gateway.auth.issuer.policy import PasswordPolicy
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


def policy_from(settings: Settings, stack: AsyncExitStack) -> PasswordPolicy:
    """The rules for new passwords; what they need is closed with the caller's stack."""
    score = breaches = None
    if settings.password_min_score:
        from gateway.auth.issuer.strength import Strength  # its word lists take 13 MB

        strength = Strength()
        stack.callback(strength.close)
        score = strength.score
    if settings.password_breach_url:  # only then it loads a client for HTTP
        import httpx

        from gateway.auth.issuer.breaches import Breaches

        http = httpx.AsyncClient(limits=httpx.Limits(max_connections=20))
        stack.push_async_callback(http.aclose)
        breaches = Breaches(settings.password_breach_url, http)
    return PasswordPolicy(
        settings.password_min_characters, settings.password_min_score, score, breaches
    )


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

"""What goes out: users and sessions in the shape that Supabase's clients parse. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.auth.issuer.tokens import ACCESS_SECONDS
from gateway.store.auth_users import Account


@dataclass(frozen=True, slots=True)
class Grant:
    """A session just opened or refreshed; the only place where a refresh token is in clear."""

    access_token: str
    refresh_token: str
    issued_at: int
    account: Account


def session_document(grant: Grant) -> dict[str, Any]:
    """The Session."""
    return {
        "access_token": grant.access_token,
        "token_type": "bearer",
        "expires_in": ACCESS_SECONDS,
        "expires_at": grant.issued_at + ACCESS_SECONDS,
        "refresh_token": grant.refresh_token,
        "user": user_document(grant.account),
        "weak_password": None,
    }


def user_document(account: Account) -> dict[str, Any]:
    """The User."""
    created = rfc3339(account.created_at)
    confirmed = _optional(account.confirmed_at)
    signed_in = _optional(account.signed_in_at)
    user_id = str(account.id)
    return {
        "id": user_id,
        "aud": "authenticated",
        "role": "authenticated",
        "email": account.email,
        "email_confirmed_at": confirmed,
        "confirmed_at": confirmed,
        "phone": "",
        "last_sign_in_at": signed_in,
        **({"banned_until": rfc3339(account.banned_until)} if account.banned_until else {}),
        **({"new_email": account.new_email} if account.new_email else {}),
        "app_metadata": dict(account.app_metadata),
        "user_metadata": dict(account.user_metadata),
        "identities": [
            {
                "identity_id": user_id,
                "id": user_id,
                "user_id": user_id,
                "identity_data": {
                    "sub": user_id,
                    "email": account.email,
                    "email_verified": confirmed is not None,
                },
                "provider": "email",
                "last_sign_in_at": signed_in,
                "created_at": created,
                "updated_at": created,
                "email": account.email,
            }
        ],
        "factors": factor_documents(account),
        "created_at": created,
        "updated_at": rfc3339(account.updated_at),
        "is_anonymous": False,
    }


def factor_documents(account: Account) -> list[dict[str, Any]]:
    """The person's factors; their secrets are told once, by who enrols them."""
    return [
        {
            "id": str(factor.id),
            "friendly_name": factor.friendly_name,
            "factor_type": "totp",
            "status": factor.status,
            "created_at": rfc3339(factor.created_at),
            "updated_at": rfc3339(factor.updated_at),
        }
        for factor in account.factors
    ]


def settings_document(*, signup: bool, confirm: bool) -> dict[str, Any]:
    """What is switched on."""
    return {
        "external": {"email": True, "phone": False, "anonymous_users": False},
        "disable_signup": not signup,
        "mailer_autoconfirm": not confirm,
        "phone_autoconfirm": False,
        "sms_provider": "",
        "saml_enabled": False,
    }


def rfc3339(moment: datetime) -> str:
    """UTC with a Z, as every client can read."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _optional(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)

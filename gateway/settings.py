"""Settings, read once from the environment or `.env`; nothing else looks at the environment."""

import base64
import re
from decimal import Decimal
from ipaddress import ip_network
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_SECRETS_KEY_BYTES = 32
_DOMAIN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$"
_DSN = r"^https?://[^\s@/:]+(:[^\s@/]*)?@[^\s@/]+(/[^\s@?#]+)*/[0-9]+$"
_SITE = r"^https?://[^\s/@?#]+/?$"
_BUCKET = r"^https?://[^\s/@?#]+(/[^\s/?#]+)+/[a-z0-9][a-z0-9._-]*$"
_POLICY = "((tenant|api|key)=)?(share|estimate|deny|allow)"
_FAILURE = rf"^{_POLICY}(,{_POLICY})*$"


class Settings(BaseSettings):
    """Every field is one environment variable of the same name in upper case.

    No secret has a default. `admin_api_key` may be absent: then the one made at
    first start and kept 0600 in the data directory is used (see `gateway.secrets`).
    """

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    gateway_host: str = "127.0.0.1"
    gateway_port: int = Field(default=8000, ge=0, le=65535)
    gateway_workers: int = Field(default=1, ge=1, le=64)
    gateway_name: str = "gateway"
    environment: Literal["development", "staging", "production"] = "development"
    base_domain: str | None = Field(default=None, pattern=_DOMAIN, max_length=190)
    sandgate_data_dir: Path = Path(".sandgate")

    admin_api_key: SecretStr | None = None
    redis_url: SecretStr | None = None
    database_url: SecretStr | None = None
    supabase_url: str | None = Field(default=None, pattern=_SITE)
    supabase_public_url: str | None = Field(default=None, pattern=_SITE)
    supabase_service_role_key: SecretStr | None = None
    supabase_secret_key: SecretStr | None = None
    supabase_anon_key: SecretStr | None = None
    limit_failure: str = Field(default="share", pattern=_FAILURE)
    limit_lease: int = Field(default=0, ge=0, le=1000)

    sandbox_runtime: Literal["auto", "docker", "gvisor", "bubblewrap", "fake"] = "auto"
    sandbox_tier_floor: Literal["vm", "gvisor", "runc", "bwrap"] | None = None
    base_image: str = Field(default="scratch", min_length=1)
    sandbox_blanks: int = Field(default=2, ge=0, le=64)
    sandbox_max: int = Field(default=100, ge=1, le=10_000)
    sandbox_tenant_max: int = Field(default=50, ge=1, le=10_000)
    sandbox_lease_seconds: float = Field(default=10, ge=1)
    sandbox_idle_seconds: float = Field(default=600, gt=0)
    sandbox_life_seconds: float = Field(default=86_400, ge=60)
    sandbox_start_seconds: float = Field(default=10, gt=0)

    auth_signup: bool = True
    auth_confirm_email: bool = False
    auth_site_url: str | None = Field(default=None, pattern=r"^https?://[^\s@?#]+$")
    auth_redirect_urls: str = Field(default="", pattern=r"^[!-~ ]*$", max_length=8000)
    password_min_characters: int = Field(default=8, ge=8, le=128)
    password_min_score: int = Field(default=0, ge=0, le=4)
    password_breach_url: str | None = Field(default=None, pattern=r"^https?://[^\s@?#]+$")
    smtp_host: str | None = Field(default=None, min_length=1)
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    smtp_from: str | None = Field(default=None, pattern=r"^[ -~]+$")
    smtp_tls: Literal["starttls", "tls", "off"] = "starttls"

    trusted_proxies: str = ""
    leak_report_keys: str = ""
    key_stale_seconds: float = Field(default=3600, ge=1)

    clamd_socket: str | None = Field(default=None, pattern=r"^(/|tcp://[^/]+:[0-9]+$)")
    upload_bytes: int = Field(default=5 * 1024 * 1024, ge=1, le=6 * 1024 * 1024)
    upload_tenant_bytes: int = Field(default=100 * 1024 * 1024, ge=1)
    upload_bucket_url: str | None = Field(default=None, pattern=_BUCKET)
    upload_bucket_key: SecretStr | None = Field(default=None, min_length=20)

    drain_notice_seconds: float = Field(default=0, ge=0, le=60)
    call_deadline_seconds: float = Field(default=30, gt=0)
    call_body_bytes: int = Field(default=10 * 1024 * 1024, ge=0)
    call_cpu_seconds: float = Field(default=15, gt=0)

    package_index_url: str = Field(default="https://pypi.org/simple", pattern=r"^https?://[^\s@]+$")
    package_cooldown_days: int = Field(default=7, ge=0, le=3650)
    package_allow: str = ""
    package_deny: str = ""

    sentry_dsn: SecretStr | None = None
    sentry_user_errors: SecretStr | None = None

    anthropic_api_key: SecretStr | None = Field(default=None, min_length=8)
    anthropic_base_url: str | None = Field(default=None, pattern=r"^https?://[^\s@?#]+$")
    generation_model: str = Field(default="", max_length=200, pattern=r"^[!-~]*$")
    generation_jobs: int = Field(default=2, ge=0, le=64)
    generation_job_usd: Decimal = Field(default=Decimal(2), ge=0, le=100_000)
    generation_user_day_usd: Decimal = Field(default=Decimal(10), ge=0, le=100_000)
    generation_day_usd: Decimal = Field(default=Decimal(100), ge=0, le=1_000_000)
    job_days: int = Field(default=90, ge=1, le=3650)

    secrets_key: SecretStr | None = None
    egress_nameservers: str = ""
    egress_connection_seconds: float = Field(default=300, gt=0)
    egress_bytes: int = Field(default=100 * 1024 * 1024, ge=1)

    code_bytes: int = Field(default=1024 * 1024, ge=1)
    usage_months: int = Field(default=14, ge=1, le=1200)
    journal_seconds: float = Field(default=0.5, gt=0)
    journal_fsync: Literal["off", "interval", "always"] = "interval"

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        """A typing error would trust nobody, or everybody."""
        for part in filter(None, map(str.strip, value.split(","))):
            ip_network(part)
        return value

    @field_validator("redis_url")
    @classmethod
    def _is_a_redis(cls, value: SecretStr | None) -> SecretStr | None:
        """An empty one is a mistake, never "off"."""
        schemes = ("redis://", "rediss://", "unix://")
        if value is not None and not value.get_secret_value().startswith(schemes):
            raise ValueError("REDIS_URL must begin with redis://, rediss:// or unix://")
        return value

    @field_validator("database_url")
    @classmethod
    def _is_a_postgres(cls, value: SecretStr | None) -> SecretStr | None:
        """An empty one is a mistake, never "off"."""
        schemes = ("postgres://", "postgresql://")
        if value is not None and not value.get_secret_value().startswith(schemes):
            raise ValueError("DATABASE_URL must begin with postgresql://")
        return value

    @field_validator("supabase_service_role_key", "supabase_secret_key", "supabase_anon_key")
    @classmethod
    def _is_a_project_key(cls, value: SecretStr | None) -> SecretStr | None:
        """An empty one is a mistake, never "off"; a header takes no odd characters."""
        if value is not None and not re.fullmatch(r"[\x21-\x7e]{20,}", value.get_secret_value()):
            raise ValueError("must be a key of the project: 20 characters or more, without spaces")
        return value

    @field_validator("admin_api_key")
    @classmethod
    def _not_empty(cls, value: SecretStr | None) -> SecretStr | None:
        """An empty secret is a mistake, never "off"."""
        if value is not None and len(value.get_secret_value()) < 20:
            raise ValueError("ADMIN_API_KEY must have at least 20 characters")
        return value

    @field_validator("sentry_dsn", "sentry_user_errors")
    @classmethod
    def _is_a_dsn(cls, value: SecretStr | None) -> SecretStr | None:
        """An empty one is a mistake, never "off"."""
        if value is not None and not re.match(_DSN, value.get_secret_value()):
            raise ValueError("must look like https://<key>@<host>/<project>")
        return value

    @field_validator("secrets_key")
    @classmethod
    def _is_a_key(cls, value: SecretStr | None) -> SecretStr | None:
        """32 bytes in base64: a password would be guessed."""
        if value is None:
            return None
        try:
            size = len(base64.b64decode(value.get_secret_value(), validate=True))
        except ValueError:
            size = 0
        if size != _SECRETS_KEY_BYTES:
            raise ValueError(
                "SECRETS_KEY must be 32 random bytes in base64; make one with: "
                "head -c 32 /dev/urandom | base64"
            )
        return value

    @model_validator(mode="after")
    def _mail_can_be_sent(self) -> Self:
        """Half of a mail server is a mistake, and who has to confirm needs a letter."""
        if (self.smtp_host is None) != (self.smtp_from is None):
            raise ValueError("SMTP_HOST and SMTP_FROM are set together")
        if (self.smtp_user is None) != (self.smtp_password is None):
            raise ValueError("SMTP_USER and SMTP_PASSWORD are set together")
        can_send = self.smtp_host is not None or self.environment == "development"
        if self.auth_confirm_email and not can_send:
            raise ValueError("AUTH_CONFIRM_EMAIL needs SMTP_HOST outside development")
        return self

    @model_validator(mode="after")
    def _bucket_is_whole(self) -> Self:
        """Half of it would keep files where nobody looks for them."""
        if (self.upload_bucket_url is None) != (self.upload_bucket_key is None):
            raise ValueError("UPLOAD_BUCKET_URL and UPLOAD_BUCKET_KEY belong together")
        return self

    def as_environment(self) -> dict[str, str]:
        """What was set, as variables for a child that cannot read our `.env`."""
        values: dict[str, str] = {}
        for name in self.model_fields_set:
            value = getattr(self, name)
            if value is not None:
                shown = value.get_secret_value() if isinstance(value, SecretStr) else value
                values[name.upper()] = str(shown)
        return values | {"SANDGATE_DATA_DIR": str(self.data_dir)}

    @property
    def data_dir(self) -> Path:
        """Absolute data directory."""
        return self.sandgate_data_dir.resolve()

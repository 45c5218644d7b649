"""Settings, read once from the environment or `.env`; nothing else looks at the environment."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every field is one environment variable of the same name in upper case.

    No secret has a default. `admin_api_key` may be absent: then the one made at
    first start and kept 0600 in the data directory is used (see `gateway.secrets`).
    """

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    gateway_host: str = "127.0.0.1"
    gateway_port: int = Field(default=8000, ge=0, le=65535)
    environment: Literal["development", "staging", "production"] = "development"
    sandgate_data_dir: Path = Path(".sandgate")

    admin_api_key: SecretStr | None = None

    sandbox_runtime: Literal["auto", "docker", "bubblewrap", "fake"] = "auto"
    base_image: str = Field(default="scratch", min_length=1)
    sandbox_blanks: int = Field(default=2, ge=0, le=64)
    sandbox_max: int = Field(default=100, ge=1, le=10_000)
    sandbox_idle_seconds: float = Field(default=600, gt=0)
    sandbox_start_seconds: float = Field(default=10, gt=0)

    call_deadline_seconds: float = Field(default=30, gt=0)
    call_body_bytes: int = Field(default=10 * 1024 * 1024, ge=0)

    code_bytes: int = Field(default=1024 * 1024, ge=1)
    journal_seconds: float = Field(default=0.5, gt=0)

    @field_validator("admin_api_key")
    @classmethod
    def _not_empty(cls, value: SecretStr | None) -> SecretStr | None:
        """An empty secret is a mistake, never "off"."""
        if value is not None and len(value.get_secret_value()) < 20:
            raise ValueError("ADMIN_API_KEY must have at least 20 characters")
        return value

    @property
    def data_dir(self) -> Path:
        """Absolute data directory."""
        return self.sandgate_data_dir.resolve()

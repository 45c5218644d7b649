"""The installation's own secrets: made once, kept in the data directory, never printed."""

import base64
import fcntl
import json
import os
import secrets as randomness
import stat
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from gateway.errors import SandgateError

FILE_NAME = "secrets.json"
_KEY_HASH_BYTES = 32
_SECRETS_KEY_BYTES = 32


class SecretsError(SandgateError):
    """The secrets cannot be read or kept; `detail` says what to do."""

    code, title = "secrets_unusable", "The installation's secrets cannot be used"


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """Everything secret that the installation makes for itself."""

    key_hash_secret: bytes  # consumer keys are stored as HMAC under it
    jwt_private_key_pem: str  # ES256, signs sessions
    jwt_kid: str
    admin_api_key: SecretStr
    secrets_key: bytes  # the secrets of APIs are encrypted under it

    def __repr__(self) -> str:
        names = ", ".join(f"{field.name}=…" for field in fields(self))
        return f"Secrets({names})"


def load_or_create_secrets(
    data_dir: Path, admin_api_key: SecretStr | None = None, secrets_key: SecretStr | None = None
) -> Secrets:
    """The secrets of this data directory, made at the first call.

    A configured one takes the place of the stored one and is not stored.
    """
    path = data_dir / FILE_NAME
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(data_dir / f"{FILE_NAME}.lock", "w", opener=_private) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two first starts at once make one set
            if not path.exists():
                _write(path, _make())
            stored = _read(path)
            if "secrets_key" not in stored:  # made by a release that had no secrets of APIs
                stored["secrets_key"] = _random_key()
                _write(path, stored)
    except OSError as error:
        raise SecretsError(
            f"{error.filename or path} cannot be used ({error.strerror}); "
            "set SANDGATE_DATA_DIR to a writable directory of your own."
        ) from error
    return Secrets(
        key_hash_secret=_hash_secret(stored["key_hash_secret"], path),
        jwt_private_key_pem=stored["jwt_private_key_pem"],
        jwt_kid=stored["jwt_kid"],
        admin_api_key=admin_api_key or SecretStr(stored["admin_api_key"]),
        secrets_key=_configured_key(secrets_key)
        if secrets_key is not None
        else _secrets_key(stored["secrets_key"], path),
    )


def _make() -> dict[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "key_hash_secret": base64.b64encode(randomness.token_bytes(_KEY_HASH_BYTES)).decode(),
        "jwt_private_key_pem": pem.decode(),
        "jwt_kid": randomness.token_hex(8),
        "admin_api_key": f"sg_admin_{randomness.token_urlsafe(32)}",
        "secrets_key": _random_key(),
    }


def _random_key() -> str:
    return base64.b64encode(randomness.token_bytes(_SECRETS_KEY_BYTES)).decode()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _write(path: Path, values: dict[str, str]) -> None:
    """Whole or absent, also when the machine loses power meanwhile."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with open(fresh, "x", opener=_private) as file:
        json.dump(values, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(path: Path) -> dict[str, str]:
    with path.open() as file:
        if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
            raise SecretsError(f"{path} can be read by others; run: chmod 600 {path}")
        try:
            values: Any = json.load(file)  # checked below, name by name
        except ValueError as error:
            raise SecretsError(_damaged(path)) from error
    names = ("key_hash_secret", "jwt_private_key_pem", "jwt_kid", "admin_api_key")
    if not isinstance(values, dict):
        raise SecretsError(_damaged(path))
    later = ("secrets_key",) if "secrets_key" in values else ()
    if any(not _present(values.get(name)) for name in (*names, *later)):
        raise SecretsError(_damaged(path))
    return {name: values[name] for name in (*names, *later)}


def _hash_secret(text: str, path: Path) -> bytes:
    try:
        secret = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise SecretsError(_damaged(path)) from error
    if len(secret) < _KEY_HASH_BYTES:
        raise SecretsError(_damaged(path))
    return secret


def _secrets_key(text: str, path: Path) -> bytes:
    key = _decoded_key(text)
    if key is None:
        raise SecretsError(_damaged(path))
    return key


def _configured_key(value: SecretStr) -> bytes:
    key = _decoded_key(value.get_secret_value())
    if key is None:
        raise SecretsError("SECRETS_KEY must be 32 random bytes in base64.")
    return key


def _decoded_key(text: str) -> bytes | None:
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return key if len(key) == _SECRETS_KEY_BYTES else None


def _present(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _damaged(path: Path) -> str:
    return f"{path} is damaged or has an empty secret; restore it from a backup."

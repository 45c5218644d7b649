"""The installation's own secrets: made once, kept in the data directory, never printed."""

import base64
import fcntl
import json
import os
import secrets as randomness
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import structlog
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from gateway.errors import SandgateError
from gateway.key_hashes import FIRST, HashSecret, HashSecrets

FILE_NAME = "secrets.json"
_KEY_HASH_BYTES = 32
_SECRETS_KEY_BYTES = 32
_REQUIRED = ("key_hash_secret", "jwt_private_key_pem", "jwt_kid", "admin_api_key")
LOOK_SECONDS = 0.5  # how long a change of the file may go unnoticed

_log = structlog.get_logger(__name__)


class SecretsError(SandgateError):
    """The secrets cannot be read or kept; `detail` says what to do."""

    code, title = "secrets_unusable", "The installation's secrets cannot be used"


@dataclass(frozen=True, slots=True, repr=False)
class Other:
    """A second good value while a secret is rotated: the one to come, or the one before."""

    value: str
    coming: bool
    until: float | None = None  # Unix time; None is good until it is forgotten

    def __repr__(self) -> str:
        return f"Other(value=…, coming={self.coming}, until={self.until})"


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """Everything secret that the installation makes for itself."""

    key_hash_secret: bytes  # consumer keys are stored as HMAC under it
    jwt_private_key_pem: str  # ES256, signs sessions
    jwt_kid: str
    admin_api_key: SecretStr
    secrets_key: bytes  # the secrets of APIs are encrypted under it
    others: Mapping[str, Other] = field(default_factory=dict)  # by the names above
    refresh_secret: bytes | None = None  # kept when the key it came from was replaced
    key_hash_id: str = FIRST  # the name of the secret under which keys are hashed

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
        with _locked(data_dir):  # two first starts at once make one set
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
    others = {name: Other(**value) for name, value in stored.get("others", {}).items()}
    if admin_api_key is not None:
        others.pop("admin_api_key", None)
    if secrets_key is not None:
        others.pop("secrets_key", None)
    return Secrets(
        others=others,
        refresh_secret=_kept_refresh_secret(stored, path),
        key_hash_secret=_hash_secret(stored["key_hash_secret"], path),
        key_hash_id=stored.get("key_hash_id", FIRST),
        jwt_private_key_pem=stored["jwt_private_key_pem"],
        jwt_kid=stored["jwt_kid"],
        admin_api_key=admin_api_key or SecretStr(stored["admin_api_key"]),
        secrets_key=_configured_key(secrets_key)
        if secrets_key is not None
        else _secrets_key(stored["secrets_key"], path),
    )


class Keyring:
    """The secrets as they are now: a file that was changed is read again before its next use."""

    def __init__(
        self, load: Callable[[], Secrets], path: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._load = load
        self._path = path
        self._clock = clock
        self._stamp = self._look()
        self._secrets = load()
        self._looked = clock()

    @classmethod
    def of(
        cls, data_dir: Path, admin_api_key: SecretStr | None, secrets_key: SecretStr | None
    ) -> "Keyring":
        """Those of `load_or_create_secrets`."""
        return cls(
            lambda: load_or_create_secrets(data_dir, admin_api_key, secrets_key),
            data_dir / FILE_NAME,
        )

    @property
    def current(self) -> Secrets:
        """At most `LOOK_SECONDS` old; the last ones known when the file cannot be read."""
        now = self._clock()
        if now - self._looked < LOOK_SECONDS:
            return self._secrets
        self._looked = now
        if (stamp := self._look()) != self._stamp:
            try:
                self._secrets = self._load()
                self._stamp = stamp
            except SecretsError as error:
                _log.error("secrets_not_read_again", reason=error.detail)
        return self._secrets

    def secrets_keys(self) -> tuple[bytes, ...]:
        """What secrets of APIs are opened with; the first also seals."""
        secrets = self.current
        other = secrets.others.get("secrets_key")
        more = () if other is None else (_secrets_key(other.value, self._path),)
        return (secrets.secrets_key, *more)

    def hash_secrets(self) -> HashSecrets:
        """What new keys are hashed with, and what else finds keys."""
        secrets = self.current
        current = HashSecret(secrets.key_hash_secret, secrets.key_hash_id)
        other, other_id = (secrets.others.get(n) for n in ("key_hash_secret", "key_hash_id"))
        if other is None or other_id is None:
            return HashSecrets(current)
        more = HashSecret(_hash_secret(other.value, self._path), other_id.value)
        return HashSecrets(current, more, is_before=not other.coming)

    def admin_keys(self) -> tuple[str, ...]:
        """What opens the administration at this moment."""
        secrets = self.current
        other = secrets.others.get("admin_api_key")
        is_good = other is not None and (other.until is None or time.time() < other.until)
        more = (other.value,) if other is not None and is_good else ()
        return (secrets.admin_api_key.get_secret_value(), *more)

    def token_keys(self) -> tuple[tuple[str, str], ...]:
        """PEM and kid of what sessions are verified with; the first also signs."""
        secrets = self.current
        key, kid = (secrets.others.get(name) for name in ("jwt_private_key_pem", "jwt_kid"))
        more: tuple[tuple[str, str], ...] = ()
        if key is not None and kid is not None and (key.until is None or time.time() < key.until):
            more = ((key.value, kid.value),)
        return ((secrets.jwt_private_key_pem, secrets.jwt_kid), *more)

    def _look(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino


# --- rotating ---------------------------------------------------------------------------------


def bring(data_dir: Path, *names: str) -> Other:
    """Make values to come, unless a rotation is under way; answers what is beside the first."""
    with _changing(data_dir) as stored:
        others = stored.setdefault("others", {})
        if names[0] not in others:
            made = {**_make(), "key_hash_id": randomness.token_hex(4)}
            if "key_hash_id" in names:  # an installation's first secret has none
                stored.setdefault("key_hash_id", FIRST)
            others |= {name: asdict(Other(made[name], coming=True)) for name in names}
        return Other(**others[names[0]])


def exchange(data_dir: Path, *names: str, until: float | None) -> None:
    """What was to come is the current one; the one before stays good until then."""
    with _changing(data_dir) as stored:
        for name in names:
            other = Other(**stored["others"][name])
            if other.coming:
                stored["others"][name] = asdict(Other(stored[name], coming=False, until=until))
                stored[name] = other.value


def forget(data_dir: Path, *names: str) -> bool:
    """The one before is good no more; False when there was none, or it is still to come."""
    with _changing(data_dir) as stored:
        other = stored.get("others", {}).get(names[0])
        if other is None or other["coming"]:
            return False
        for name in names:
            del stored["others"][name]
        return True


def keep_refresh_secret(data_dir: Path, secret: bytes) -> None:
    """Refresh tokens go on following from one another when the key that signs is replaced."""
    with _changing(data_dir) as stored:
        stored.setdefault("refresh_secret", base64.b64encode(secret).decode())


@contextmanager
def _changing(data_dir: Path) -> Iterator[dict[str, Any]]:
    """What is stored, to be changed; written when it was."""
    path = data_dir / FILE_NAME
    with _locked(data_dir):
        stored = _read(path)
        before = json.dumps(stored)
        yield stored
        if not stored.get("others", True):
            del stored["others"]
        if json.dumps(stored) != before:
            _write(path, stored)


@contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    with open(data_dir / f"{FILE_NAME}.lock", "w", opener=_private) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


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


def _write(path: Path, values: dict[str, Any]) -> None:
    """Whole or absent, also when the machine loses power meanwhile."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    try:
        with open(fresh, "x", opener=_private) as file:
            json.dump(values, file, indent=2)
            file.flush()
            if path.exists():  # the gateway's, when root writes it
                owner = path.stat()
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(path: Path) -> dict[str, Any]:
    with path.open() as file:
        if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
            raise SecretsError(f"{path} can be read by others; run: chmod 600 {path}")
        try:
            values: Any = json.load(file)  # checked below, name by name
        except ValueError as error:
            raise SecretsError(_damaged(path)) from error
    if not isinstance(values, dict):
        raise SecretsError(_damaged(path))
    later: tuple[str, ...] = ("secrets_key",) if "secrets_key" in values else ()
    if any(not _present(values.get(name)) for name in (*_REQUIRED, *later)):
        raise SecretsError(_damaged(path))
    for name in ("refresh_secret", "key_hash_id"):
        if name in values:
            if not _present(values[name]):
                raise SecretsError(_damaged(path))
            later = (*later, name)
    if "others" in values:
        if not _are_others(values["others"]):
            raise SecretsError(_damaged(path))
        later = (*later, "others")
    return {name: values[name] for name in (*_REQUIRED, *later)}


def _are_others(values: object) -> bool:
    return isinstance(values, dict) and all(
        isinstance(value, dict)
        and value.keys() == {"value", "coming", "until"}
        and _present(value["value"])
        and isinstance(value["coming"], bool)
        and isinstance(value["until"], float | None)
        for value in values.values()
    )


def _hash_secret(text: str, path: Path) -> bytes:
    try:
        secret = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise SecretsError(_damaged(path)) from error
    if len(secret) < _KEY_HASH_BYTES:
        raise SecretsError(_damaged(path))
    return secret


def _kept_refresh_secret(stored: Mapping[str, Any], path: Path) -> bytes | None:
    kept = stored.get("refresh_secret")
    return None if kept is None else _hash_secret(kept, path)


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

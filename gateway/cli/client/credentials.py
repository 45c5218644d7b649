"""The signed-in session on disk: one file, readable by its owner only, replaced as a whole."""

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from gateway.cli.client.failures import CommandError, InputError
from gateway.cli.files import write_private

_LOCK_SECONDS = 60.0  # longer than a refresh of another command can take
_EARLY_SECONDS = 30.0  # a token about to expire counts as expired


@dataclass(frozen=True, slots=True)
class Credentials:
    """A session at one server."""

    url: str
    email: str
    access_token: str
    refresh_token: str
    expires_at: float  # Unix seconds

    def has_expired(self, now: float) -> bool:
        """Whether the access token is of no use any more."""
        return now >= self.expires_at - _EARLY_SECONDS


class CredentialsFile:
    """Where the session is kept."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory or Path(typer.get_app_dir("sandgate"))
        self.path = self._directory / "credentials.json"

    def load(self) -> Credentials | None:
        """The session, or None when nobody is signed in or the file cannot be understood."""
        try:
            return Credentials(**json.loads(self.path.read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            return None
        except OSError as error:
            raise self._unusable(error) from error

    def save(self, credentials: Credentials) -> None:
        """Keep it; a reader sees the old session or the new one."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(self.path, asdict(credentials))
        except OSError as error:
            raise self._unusable(error) from error

    def remove(self) -> None:
        """Forget the session."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unusable(error) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One command at a time: a refresh token works once, a second use ends the session."""
        try:
            lock = (self._directory / "credentials.lock").open("a")
        except OSError as error:
            raise self._unusable(error) from error
        with lock:
            _take(lock.fileno())
            yield

    def _unusable(self, error: OSError) -> InputError:
        return InputError(
            f"{self.path} cannot be used ({error.strerror})",
            "Make it yours, or choose another folder with XDG_CONFIG_HOME.",
        )


def _take(descriptor: int) -> None:
    """Wait for the lock, but not for ever."""
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise CommandError(
                    "Another sandgate command holds the session",
                    "Wait for it or end it, then try again.",
                ) from error
            time.sleep(0.05)

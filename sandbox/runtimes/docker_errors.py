"""The engine client's exceptions in our own words."""

from collections.abc import Iterator
from contextlib import contextmanager

import docker.errors
import requests.exceptions

from sandbox.runtimes.base import RuntimeUnavailableError

GONE = 404
BUSY = 409  # the engine is just removing it


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn whatever the client raises into RuntimeUnavailableError."""
    try:
        yield
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        raise RuntimeUnavailableError(f"docker: {what}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """The engine's own words where it answered, else the client's."""
    if isinstance(error, docker.errors.APIError) and error.explanation:
        return str(error.explanation)
    return str(error) or type(error).__name__


def status_of(error: docker.errors.APIError) -> int | None:
    """HTTP status of the engine's answer."""
    return None if error.response is None else error.response.status_code

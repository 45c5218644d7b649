"""Which images of ours an engine has, so that who only looks can take away what it made."""

import contextlib
from collections.abc import Collection

from sandbox.runtimes.base import RuntimeUnavailableError
from sandbox.runtimes.docker_errors import translated
from sandbox.runtimes.docker_events import make_client
from sandbox.runtimes.image import REPOSITORY

SECONDS = 60.0


def runner_images() -> frozenset[str]:
    """Their names; none when no engine answers. Blocks."""
    try:
        with translated("no engine"), contextlib.closing(make_client(None, SECONDS)) as client:
            return frozenset(tag for image in client.images.list(REPOSITORY) for tag in image.tags)
    except RuntimeUnavailableError:
        return frozenset()


def remove_images_but(kept: Collection[str]) -> None:
    """Remove those that are not to be kept; one that a container uses stays. Blocks."""
    for tag in runner_images() - frozenset(kept):
        # it is in use, or the engine has gone: then it is not ours to take away any more
        with (
            contextlib.suppress(RuntimeUnavailableError),
            translated("cannot remove the image"),
            contextlib.closing(make_client(None, SECONDS)) as client,
        ):
            client.images.remove(tag)

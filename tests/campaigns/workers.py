"""An installation with as many gateway processes as it can have."""

from collections.abc import Iterator
from contextlib import contextmanager

from gateway.settings import Settings
from tests.campaigns import redis_in_use
from tests.support.installation import Installation, installation

TWO_WORKERS = redis_in_use.known() and "gateway_workers" in Settings.model_fields


@contextmanager
def several_workers(runtime: str = "bubblewrap") -> Iterator[Installation]:
    """Two workers over one Redis where there are such; else the one there is."""
    with redis_in_use.server() as redis:
        arguments = ("--workers", "2") if TWO_WORKERS else ()
        environment = {"REDIS_URL": redis.url} if redis else {}
        with installation(*arguments, SANDBOX_RUNTIME=runtime, **environment) as made:
            yield made

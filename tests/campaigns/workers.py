"""An installation of two gateways over one Redis."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.campaigns import redis_in_use
from tests.support.installation import Installation, installation

WORKERS = 2


@contextmanager
def several_workers(runtime: str = "bubblewrap") -> Iterator[Installation]:
    """Running."""
    with redis_in_use.server() as redis:
        arguments = ("--workers", str(WORKERS))
        with installation(*arguments, SANDBOX_RUNTIME=runtime, REDIS_URL=redis.url) as made:
            yield made

"""Log and error reports of one process, as the settings want them."""

from collections.abc import Iterator
from contextlib import contextmanager

from gateway.logs import configure
from gateway.settings import Settings
from sandbox.reports import open_reporter


@contextmanager
def reporting(process: str, settings: Settings) -> Iterator[None]:
    """From now on this process writes its log, and reports its errors where there is an address."""
    environment = report_environment(settings)
    with open_reporter(
        process,
        environment.get("SENTRY_DSN"),
        environment.get("SENTRY_USER_ERRORS"),
        settings.environment,
    ) as reporter:
        configure(process, reporter)
        yield


def report_environment(settings: Settings) -> dict[str, str]:
    """Where errors are reported to, for processes that read no settings of ours."""
    addresses = {
        "SENTRY_DSN": settings.sentry_dsn,
        "SENTRY_USER_ERRORS": settings.sentry_user_errors,
    }
    given = {name: value.get_secret_value() for name, value in addresses.items() if value}
    return given | {"ENVIRONMENT": settings.environment} if given else {}

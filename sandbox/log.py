"""The log of manager and door: one JSON line per event on standard error."""

import logging
import os
import sys

import structlog

from sandbox.redaction import redact_event
from sandbox.reports import Reporter, open_reporter


def configure(process: str) -> Reporter:
    """Once, at the start of the process, whose name is on every line; open what it answers.

    Addresses of reports come by the environment: arguments are read by every user of a machine.
    """
    reporter = open_reporter(
        process,
        os.environ.get("SENTRY_DSN"),
        os.environ.get("SENTRY_USER_ERRORS"),
        os.environ.get("ENVIRONMENT", "development"),
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            reporter,
            structlog.processors.format_exc_info,
            redact_event,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
    return reporter

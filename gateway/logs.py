"""One JSON line per log event on standard error, for structlog and the standard library alike."""

import logging
import sys
from typing import Final

import structlog

from sandbox.redaction import redact_event
from sandbox.reports import Reporter

#: What a request is about, once it is known: bound to every line until its end.
SUBJECT_IDS: Final = ("user_id", "tenant_id", "api_id", "key_id")


def configure(process: str, reporter: Reporter | None = None, level: int = logging.INFO) -> None:
    """Call once at the start of a process; `process` is bound to every line."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *((reporter,) if reporter is not None else ()),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redact_event,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # their lines tell of each request of ours, with its address
    for noisy in ("httpx", "httpcore", "hpack"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(process=process)


def note(**ids: object) -> None:
    """What this request turned out to be about: ids of `SUBJECT_IDS`, never what they open."""
    structlog.contextvars.bind_contextvars(**{name: str(value) for name, value in ids.items()})

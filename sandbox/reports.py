"""Errors told to a service that speaks Sentry's protocol, when an address is given; else nothing.

A line of the log at the level of an error is a report. Errors of user code are no errors of
ours: their lines carry `fault="user_code"`, and leave only when an address of their own is given.
Nothing waits for the service: what it does not take at once is dropped.
"""

import sys
import time
from collections import deque
from collections.abc import Callable, MutableMapping
from importlib.metadata import version
from types import TracebackType
from typing import Any, Final, Self

from sandbox.redaction import redact, redact_text
from sandbox.types import USER_CODE

TAGS: Final = (
    "request_id", "trace_id", "user_id", "tenant_id", "api_id", "key_id", "version_id",
    "sandbox_id", "code", "end",
)  # fmt: skip

_ERRORS = frozenset({"error", "critical"})
_MINUTE = 60.0
_PER_MINUTE = 30  # reports of a process
_SAME_PER_MINUTE = 5  # of one kind
_KINDS_MAX = 500
_CLOSE_SECONDS = 2.0
_QUEUE = 50
_TEXTS_MAX = 1024
_NOT_FIELDS = frozenset(
    {"event", "level", "timestamp", "logger", "exc_info", "exception", "stack_info", "process"}
)
_OWN_LOGGERS = ("sentry_sdk", "urllib3")  # a failure to report is not reported


class Cap:
    """So many in a minute, so many of one kind; a kind is a short text of ours."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._all: deque[float] = deque()
        self._kinds: dict[str, deque[float]] = {}
        self.dropped = 0  # since the last that was let through

    def takes(self, kind: str) -> bool:
        """Whether one more may go now; counts it."""
        now = self._clock()
        if len(self._kinds) > _KINDS_MAX:
            self._kinds.clear()
        same = self._kinds.setdefault(kind, deque())
        for times in (self._all, same):
            while times and times[0] <= now - _MINUTE:
                times.popleft()
        if len(self._all) >= _PER_MINUTE or len(same) >= _SAME_PER_MINUTE:
            self.dropped += 1
            return False
        self._all.append(now)
        same.append(now)
        return True


class Address:
    """One place to which reports go."""

    def __init__(
        self,
        dsn: str,
        environment: str,
        process: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        from sentry_sdk import Client  # a tenth of a second, for those who want it

        self._process = process
        self._cap = Cap(clock)
        self._client: Client = Client(
            dsn=dsn,
            environment=environment,
            release=f"sandgate@{version('sandgate')}",
            default_integrations=False,  # they would look into requests
            auto_enabling_integrations=False,
            auto_session_tracking=False,
            send_client_reports=False,
            include_local_variables=False,
            max_request_body_size="never",
            max_breadcrumbs=0,
            transport_queue_size=_QUEUE,
            shutdown_timeout=0,
        )

    def take(self, event: MutableMapping[str, Any]) -> None:
        """Hand it over; returns at once."""
        error = _error_of(event.get("exc_info"))
        name = redact_text(str(event.get("event", "")))[:_TEXTS_MAX]
        if not self._cap.takes(f"{name} {type(error).__name__}"):
            return
        dropped, self._cap.dropped = self._cap.dropped, 0
        self._client.capture_event(redact(self._report(event, name, error, dropped), depth=-8))

    def close(self) -> None:
        """Give what is on its way a moment."""
        self._client.close(timeout=_CLOSE_SECONDS)

    def _report(
        self, event: MutableMapping[str, Any], name: str, error: BaseException | None, dropped: int
    ) -> Any:
        """In the protocol's own words."""
        from sentry_sdk.utils import event_from_exception

        report: Any = {}
        if error is not None:
            report, _ = event_from_exception(
                error,
                client_options=self._client.options,
                mechanism={"type": "log", "handled": True},
            )
        level = str(event.get("level", "error"))
        fields = {key: value for key, value in event.items() if not _is_own(key)}
        kind = type(error).__name__ if error is not None else ""
        return report | {
            "level": {"critical": "fatal", "exception": "error"}.get(level, level),
            "logger": str(event.get("logger", "")),
            "logentry": {"formatted": name},
            "transaction": name,
            "fingerprint": [self._process, name, kind, "{{ default }}"],
            "tags": {"process": self._process, "event": name}
            | {tag: str(event[tag])[:200] for tag in TAGS if event.get(tag)},
            "extra": fields | ({"reports_dropped": dropped} if dropped else {}),
        }


class Reporter:
    """Takes reports out of the log; a processor of structlog, open while the process lives."""

    def __init__(self, ours: Address | None = None, of_users: Address | None = None) -> None:
        self._ours = ours
        self._of_users = of_users

    def __call__(
        self, _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """`Any`: structlog's own. The line goes on as it came."""
        if event.get("fault") == USER_CODE:
            address = self._of_users
        else:
            address = self._ours if event.get("level") in _ERRORS else None
        if address is not None and not str(event.get("logger", "")).startswith(_OWN_LOGGERS):
            address.take(event)
        return event

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._ours is not None and isinstance(error, Exception):
            self._ours.take({"event": "process_failed", "level": "critical", "exc_info": error})
        for address in (self._ours, self._of_users):
            if address is not None:
                address.close()


def open_reporter(
    process: str, dsn: str | None, user_errors: str | None, environment: str
) -> Reporter:
    """Without an address nothing is opened, and nothing imported."""
    return Reporter(
        *(Address(each, environment, process) if each else None for each in (dsn, user_errors))
    )


def _is_own(name: str) -> bool:
    return name in _NOT_FIELDS or name in TAGS or name.startswith("_")


def _error_of(given: Any) -> BaseException | None:
    """What `exc_info` stands for. `Any`: True, an exception, or the triple of the interpreter."""
    if isinstance(given, BaseException):
        return given
    if isinstance(given, tuple) and len(given) == 3:
        return given[1] if isinstance(given[1], BaseException) else None
    return sys.exc_info()[1] if given else None

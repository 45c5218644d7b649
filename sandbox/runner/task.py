"""What the manager hands in when a blank gets its code, checked. Pure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from .frames import Message

MAX_VARIABLES = 256
MAX_NAME = 128
MAX_VALUE = 64 * 1024
MAX_ENVIRONMENT = 512 * 1024
MAX_REDACT = 512

Listener = Literal["descriptor", "dial"]


class TaskError(Exception):
    """The message cannot be obeyed. The text never holds a value, only names."""


class Limits(NamedTuple):
    """What the sandbox may use; 0 leaves a limit as the runtime set it."""

    memory_mb: int = 0
    pids: int = 0
    tmp_mb: int = 0


class Task(NamedTuple):
    """One API's code and all it is given. Fields that a manager leaves out have defaults."""

    api_id: str
    version_id: str
    code: str
    filename: str
    seconds: float
    environment: Mapping[str, str] = MappingProxyType({})
    egress: bool = False
    ca: str = ""
    layer: bool = False
    limits: Limits = Limits()
    call_cpu_seconds: float = 0.0  # 0: no budget
    redact: tuple[str, ...] = ()
    listener: Listener = "descriptor"

    def __repr__(self) -> str:
        return f"Task({self.api_id}, {len(self.code)} characters)"

    @classmethod
    def from_message(cls, message: Message) -> "Task":
        """Check every field; raises TaskError."""
        try:
            return cls(
                api_id=str(message["api_id"]),
                version_id=str(message["version_id"]),
                code=str(message["code"]),
                filename=str(message["filename"]),
                seconds=_positive(message["seconds"]),
                environment=_environment(message.get("environment") or {}),
                egress=bool(message.get("egress", False)),
                ca=str(message.get("ca") or ""),
                layer=bool(message.get("layer", False)),
                limits=_limits(message.get("resources") or {}),
                call_cpu_seconds=_positive(message.get("call_cpu_seconds", 0.0)),
                redact=_texts(message.get("redact") or ()),
                listener=_listener(message.get("listener", "descriptor")),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TaskError(f"the order to start is malformed ({type(error).__name__})") from None


def _positive(value: Any) -> float:
    number = float(value)
    if not 0 <= number < float("inf"):
        raise TaskError("a number of seconds is out of range")
    return number


def _environment(value: Mapping[str, Any]) -> dict[str, str]:
    if len(value) > MAX_VARIABLES:
        raise TaskError(f"more than {MAX_VARIABLES} environment variables")
    environment: dict[str, str] = {}
    size = 0
    for name, text in value.items():
        if len(name) > MAX_NAME or not (name.isascii() and name.isidentifier()):
            raise TaskError(f"{name[:MAX_NAME]!r} is no name for an environment variable")
        if not isinstance(text, str) or "\0" in text or not _is_unicode(text):
            raise TaskError(f"the environment variable {name} is not plain text")
        if len(text.encode()) > MAX_VALUE:
            raise TaskError(f"the environment variable {name} is over {MAX_VALUE} bytes")
        size += len(name) + len(text.encode())
        environment[name] = text
    if size > MAX_ENVIRONMENT:
        raise TaskError(f"the environment is over {MAX_ENVIRONMENT} bytes")
    return environment


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _limits(value: Mapping[str, Any]) -> Limits:
    numbers = {name: int(value.get(name, 0)) for name in ("memory_mb", "pids", "tmp_mb")}
    if any(number < 0 for number in numbers.values()):
        raise TaskError("a resource is negative")
    return Limits(**numbers)


def _texts(value: Any) -> tuple[str, ...]:
    if len(value) > MAX_REDACT:
        raise TaskError(f"more than {MAX_REDACT} values to redact")
    return tuple(str(text) for text in value)


def _listener(value: Any) -> Listener:
    if value == "dial":
        return "dial"
    if value == "descriptor":
        return "descriptor"
    raise TaskError("unknown kind of listener")

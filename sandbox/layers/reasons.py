"""What the installer said, as a failure for the owner or for the operator. Pure."""

import re

from sandbox.layers.settings import LayerSettings
from sandbox.types import DependencyError, ManagerUnavailableError, SandboxError

MAX_REASON = 1500
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_URL = re.compile(r"https?://\S+", re.IGNORECASE)
_LABEL = re.compile(r"^\s*(error|cause|warning|×|╰─▶|├─▶|Caused by)\s*:?\s*")
_UNREACHABLE = re.compile(
    r"Failed to fetch|error sending request|client error|dns error|timed out|operation timed out"
)
_FULL = re.compile(r"No space left|os error 28|Disk quota exceeded|os error 122")


def explain(errors: str, settings: LayerSettings) -> SandboxError:
    """DependencyError when asking for something else helps, else ManagerUnavailableError."""
    if _FULL.search(errors):
        return DependencyError("the packages are too large")
    no_solution = "No solution found" in errors
    if not no_solution and _UNREACHABLE.search(errors):
        return ManagerUnavailableError(f"the package index cannot be reached: {_clean(errors)}")
    text = _clean(errors).removeprefix("No solution found when resolving dependencies")
    text = text.strip(" :") or "they cannot be installed"
    return DependencyError(" ".join((text, *_notes(errors, settings))))


def printable(text: str) -> str:
    """One line of bounded text without control characters."""
    line = " ".join(text[:64_000].split())
    clean = "".join(c if c.isprintable() else "?" for c in line)
    return clean if len(clean) <= MAX_REASON else f"{clean[: MAX_REASON - 1]}…"


def _notes(errors: str, settings: LayerSettings) -> list[str]:
    """Our own rules behind what the installer found."""
    notes = []
    if "exclude-newer" in errors and settings.cooldown_days:
        notes.append(f"Versions younger than {settings.cooldown_days} days are not used.")
    if "wheel" in errors:
        notes.append(
            f"Only wheels for Python {settings.python} on {settings.machine} can be installed."
        )
    fixed = [
        name for name, version in settings.root.versions.items() if f"{name}=={version}" in errors
    ]
    if fixed:
        notes.append(f"Fixed by Sandgate: {', '.join(fixed[:20])}.")
    return notes


def _clean(errors: str) -> str:
    """One line of bounded, printable text without addresses and the installer's own hints."""
    text = _URL.sub("the package index", _COLOUR.sub("", errors[:64_000]))
    body = text.partition("\nhint:")[0]
    lines = (_LABEL.sub("", line) for line in body.splitlines())
    return printable(" ".join(lines))

"""One requirement as user code may state it: a name, extras and versions. Pure.

Everything that chooses where a package comes from or how it is built is refused. A name that
merely looks like a well-known one cannot be recognised here: that is what an allow list is for.
"""

import re

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

MAX_CHARACTERS = 300
MAX_NAME = 100
MAX_EXTRAS = 10
_PATH = re.compile(r"[./~\\]|.*\.(whl|zip|tar|gz|bz2|tgz)$", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z0-9+.-]+:(//)?", re.IGNORECASE)


class RequirementError(Exception):
    """Not a requirement that may be asked for; the text says why, for its owner."""


def parse(text: str) -> Requirement | None:
    """The requirement, or None when its marker says that it is not for this Python.

    Raises RequirementError.
    """
    _refuse_early(text)
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        raise RequirementError(f"{_shown(text)} is not a name with versions") from None
    _refuse(requirement, text)
    return requirement if _applies(requirement, text) else None


def canonical(requirement: Requirement) -> str:
    """Equal requirements, equal text; the marker is gone."""
    extras = ",".join(sorted({canonicalize_name(extra) for extra in requirement.extras}))
    versions = ",".join(sorted(str(one) for one in requirement.specifier))
    return canonicalize_name(requirement.name) + (f"[{extras}]" if extras else "") + versions


def _refuse_early(text: str) -> None:
    """What has the shape of something else, so that it can be called by its name."""
    if len(text) > MAX_CHARACTERS:
        raise RequirementError(f"a requirement has at most {MAX_CHARACTERS} characters")
    if not text.isprintable() or not text.isascii():
        raise RequirementError("a requirement has only printable ASCII characters")
    if text.startswith("-"):
        raise RequirementError(f"{_shown(text)} is an option; only names and versions are allowed")
    if _SCHEME.match(text) or "@" in text or "://" in text:
        raise RequirementError(f"{_shown(text)} is an address; only names and versions are allowed")
    if _PATH.match(text):
        raise RequirementError(f"{_shown(text)} is a path; only names and versions are allowed")
    if "--" in text:
        raise RequirementError(f"{_shown(text)} has an option; only names and versions are allowed")


def _refuse(requirement: Requirement, text: str) -> None:
    if requirement.url is not None:
        raise RequirementError(f"{_shown(text)} is an address; only names and versions are allowed")
    if max(map(len, (requirement.name, *requirement.extras))) > MAX_NAME:
        raise RequirementError(f"names have at most {MAX_NAME} characters")
    if len(requirement.extras) > MAX_EXTRAS:
        raise RequirementError(f"a requirement has at most {MAX_EXTRAS} extras")
    if any(one.operator == "===" for one in requirement.specifier):
        raise RequirementError(f"{_shown(text)}: write == in place of ===")


def _applies(requirement: Requirement, text: str) -> bool:
    """Markers are looked at here, with the Python that sandboxes have."""
    if requirement.marker is None:
        return True
    try:
        return requirement.marker.evaluate()
    except (UndefinedComparison, UndefinedEnvironmentName, InvalidVersion) as error:
        raise RequirementError(f"the condition of {_shown(text)} means nothing here") from error


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:79]}…")

"""Which files may become part of a layer. Pure; every path comes from a stranger."""

import unicodedata
from dataclasses import dataclass, field

from sandbox.layers.settings import Root, module_of

MAX_FILES = 20_000
MAX_BYTES = 300 * 1024 * 1024
MAX_PATH_BYTES = 512
MAX_PART_BYTES = 200
MAX_DEPTH = 24


class NotAdmittedError(Exception):
    """The layer cannot be used; the text is for whoever asked for it."""


@dataclass(slots=True)
class Admission:
    """Looks at each file of one layer before a byte of it is written."""

    root: Root
    files: int = 0
    size: int = 0
    _folders: dict[str, str] = field(default_factory=dict)  # folded path: how it was spelled
    _names: set[str] = field(default_factory=set)  # folded paths of the files

    def admit(self, path: str, size: int) -> tuple[str, ...]:
        """The parts of a path that may be written. Raises NotAdmittedError."""
        self.files += 1
        self.size += size
        if self.files > MAX_FILES:
            raise NotAdmittedError(f"the packages have more than {MAX_FILES} files")
        if size < 0 or self.size > MAX_BYTES:
            raise NotAdmittedError(f"the packages are larger than {MAX_BYTES // 1024**2} MB")
        parts = _parts(path)
        self._check_top(parts)
        self._check_new(parts)
        return parts

    def _check_top(self, parts: tuple[str, ...]) -> None:
        """What Python would look at while it starts or in place of something it has."""
        top = parts[0]
        name = _fold(module_of(top))
        if len(parts) == 1 and _fold(top).endswith(".pth"):
            raise NotAdmittedError(f"{_shown(top)} would run code at every start")
        if name in self.root.modules and not _is_record_folder(top):
            raise NotAdmittedError(f"{_shown(top)} would take the place of {name}")

    def _check_new(self, parts: tuple[str, ...]) -> None:
        """Neither the file nor one of its folders may be there already in another spelling."""
        for depth in range(1, len(parts)):
            spelled = "/".join(parts[:depth])
            folded = _fold(spelled)
            if folded in self._names or self._folders.setdefault(folded, spelled) != spelled:
                raise NotAdmittedError(f"{_shown(spelled)} is there twice")
        folded = _fold("/".join(parts))
        if folded in self._names or folded in self._folders:
            raise NotAdmittedError(f"{_shown('/'.join(parts))} is there twice")
        self._names.add(folded)


def _parts(path: str) -> tuple[str, ...]:
    """A relative, normal path of printable UTF-8."""
    try:
        raw = path.encode()
    except UnicodeEncodeError:
        raise NotAdmittedError("a file's name is not UTF-8") from None
    parts = tuple(path.split("/"))
    if not path or len(raw) > MAX_PATH_BYTES or len(parts) > MAX_DEPTH:
        raise NotAdmittedError(f"the path {_shown(path)} is too long or too deep")
    for part in parts:
        if part in {"", ".", ".."} or "\\" in part or len(part.encode()) > MAX_PART_BYTES:
            raise NotAdmittedError(f"the path {_shown(path)} is not allowed")
        if not part.isprintable():
            raise NotAdmittedError(f"the path {_shown(path)} has characters that do not print")
    return parts


def _fold(text: str) -> str:
    """Equal for what a person, a file system or Python's import could take for the same."""
    return unicodedata.normalize("NFKC", text).casefold()


def _is_record_folder(top: str) -> bool:
    """`name-1.0.dist-info` is no module, whatever stands before its first dot."""
    return top.endswith((".dist-info", ".data"))


def _shown(path: str) -> str:
    text = ascii(path)
    return text if len(text) <= 120 else f"{text[:119]}…"

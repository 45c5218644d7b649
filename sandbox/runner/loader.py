"""Runs the user's file as the module `app` and finds the application in it."""

import inspect
import linecache
import sys
import types
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette

from .failures import NoApplicationError

MODULE_NAME = "app"
_PREFERRED = ("app", "user_app")

Application = Callable[..., Any]


def load(code: str, filename: str) -> types.ModuleType:
    """Execute the file; whatever it raises passes through. Only ever called in a sandbox."""
    source = code.removeprefix("\ufeff")
    module = types.ModuleType(MODULE_NAME)
    module.__file__ = filename
    sys.modules[MODULE_NAME] = module
    _remember_source(source, filename)
    exec(_compile(source, filename), module.__dict__)  # noqa: S102 - the runner exists to do this
    return module


def _remember_source(source: str, filename: str) -> None:
    """So that tracebacks and `inspect` show lines although no file exists."""
    lines = [line + "\n" for line in source.splitlines()]
    linecache.cache[filename] = (len(source), None, lines, filename)


def _compile(source: str, filename: str) -> types.CodeType:
    if "\0" in source:  # the compiler's own message for these names no line
        line = source.partition("\0")[0].count("\n") + 1
        raise SyntaxError("the file contains null bytes", (filename, line, None, None))
    try:
        return compile(source, filename, "exec", dont_inherit=True)
    except UnicodeEncodeError as error:
        line = source[: error.start].count("\n") + 1
        why = "the file is not valid Unicode text"
        raise SyntaxError(why, (filename, line, None, None)) from None
    except (RecursionError, MemoryError):
        why = "the file is nested too deeply"
        raise SyntaxError(why, (filename, 1, None, None)) from None


def find_application(module: types.ModuleType) -> Application:
    """`app`, else `user_app`, else the only application there is."""
    names = vars(module)
    for name in _PREFERRED:
        if is_application(names.get(name)):
            application: Application = names[name]
            return application
    candidates = _candidates(module)
    if len(candidates) == 1:
        return next(iter(candidates.values()))
    raise NoApplicationError(_explain(names, candidates))


def _candidates(module: types.ModuleType) -> dict[str, Application]:
    """Applications by name, each once; a Starlette one counts for more than a bare callable."""
    found: dict[str, Application] = {}
    for name, value in list(vars(module).items()):
        if name.startswith("__") or any(value is other for other in found.values()):
            continue
        if is_application(value) and _made_here(value, module):
            found[name] = value
    full: dict[str, Application] = {
        name: value for name, value in found.items() if isinstance(value, Starlette)
    }
    return full or found


def _made_here(value: Any, module: types.ModuleType) -> bool:
    """Imported functions may look like applications; only the file's own are meant."""
    return not inspect.isroutine(value) or getattr(value, "__module__", "") == module.__name__


def is_application(value: Any) -> bool:
    """Whether `value` can be called as ASGI 3: a coroutine over scope, receive and send."""
    if isinstance(value, Starlette):
        return True
    if inspect.isclass(value) or inspect.ismodule(value) or not callable(value):
        return False
    function = value if inspect.isroutine(value) else type(value).__call__
    try:
        if not inspect.iscoroutinefunction(function):
            return False
        inspect.signature(value).bind(None, None, None)
    except (TypeError, ValueError):
        return False
    return True


def _explain(names: dict[str, Any], candidates: dict[str, Application]) -> str:
    if candidates:
        found = ", ".join(sorted(candidates))
        return f"the file has several applications ({found}); name the one to serve `app`"
    for name in _PREFERRED:
        if name in names:
            kind = type(names[name])
            return (
                f"`{name}` is a {kind.__module__}.{kind.__qualname__}, "
                "which is no FastAPI, Starlette or other ASGI application"
            )
    public = [name for name in names if not name.startswith("_")]
    listing = ", ".join(public[:30]) or "nothing"
    return f"no application found: the file needs `app = FastAPI()`. It defines {listing}"

"""Errors that are swallowed."""

import ast
from collections.abc import Iterator

from generator.scan.subject import Subject, found
from generator.types import Finding

RULES = {
    "error_hidden": "`except:` or `except BaseException:` without `raise`; a warning for "
    "`except Exception: pass` and `suppress(Exception)`.",
}
_ALL = frozenset({"BaseException", "builtins.BaseException"})
_BROAD = frozenset({"Exception", "builtins.Exception"})


def check(subject: Subject) -> Iterator[Finding]:
    """Handlers, and what suppresses without one."""
    for handler in subject.of(ast.ExceptHandler):
        yield from _handler(subject, handler)
    for call in subject.of(ast.Call):
        if subject.dotted(call.func) == "contextlib.suppress" and any(
            subject.dotted(one) in _ALL | _BROAD for one in call.args
        ):
            yield found("error_hidden", "suppress single kinds of errors", call, warning=True)


def _handler(subject: Subject, handler: ast.ExceptHandler) -> Iterator[Finding]:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {"BaseException" if kind is None else subject.dotted(kind) for kind in kinds}
    raises = any(isinstance(node, ast.Raise) for node in ast.walk(handler))
    if names & _ALL and not raises:
        yield found("error_hidden", "name the errors that are expected", handler)
    elif names & _BROAD and all(isinstance(one, ast.Pass | ast.Continue) for one in handler.body):
        yield found("error_hidden", "an error is not for passing over", handler, warning=True)

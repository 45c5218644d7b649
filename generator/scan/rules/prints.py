"""What is written to the log."""

import ast
import re
from collections.abc import Iterator

from generator.scan.subject import Subject, found, words
from generator.types import Finding

RULES = {
    "print_left": "`print` left in the code.",
    "secret_logged": "Headers, cookies or something called a secret printed or logged.",
}
_LEVELS = words("""debug info warning error critical exception log""")
_TELLING = re.compile(r"headers|cookies|passw|secret|token|api_?key|authorization|environ", re.I)


def check(subject: Subject) -> Iterator[Finding]:
    """Prints and log lines."""
    for call in subject.of(ast.Call):
        is_print = isinstance(call.func, ast.Name) and call.func.id in {"print", "pprint"}
        if not is_print and not _logs(subject, call):
            continue
        values = [*call.args, *(one.value for one in call.keywords)]
        telling = next((name for one in values for name in _names(one)), None)
        if telling:
            yield found("secret_logged", f"{telling} does not belong into the log", call)
        elif is_print:
            yield found("print_left", "use the logging module, or nothing", call, warning=True)


def _logs(subject: Subject, call: ast.Call) -> bool:
    function = call.func
    if not isinstance(function, ast.Attribute) or function.attr not in _LEVELS:
        return False
    return "log" in subject.dotted(function.value).lower()


def _names(value: ast.expr) -> Iterator[str]:
    for node in ast.walk(value):
        name = getattr(node, "attr", "") or getattr(node, "id", "")
        if isinstance(name, str) and _TELLING.search(name):
            yield name

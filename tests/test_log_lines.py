"""Every line of the log is a name with fields: the same kind of thing has the same name always."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
# inside a sandbox the words are for the owner of the code, and nothing of ours is there
APART = ("sandbox/runner/", "sandbox/runtime_library/")


def calls() -> Iterator[tuple[str, ast.Call]]:
    for package in ("gateway", "sandbox"):
        for path in sorted((ROOT / package).rglob("*.py")):
            place = path.relative_to(ROOT).as_posix()
            if place.startswith(APART):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and node.func.attr in LEVELS
                    and isinstance(node.func.value, ast.Name)
                    and node.func.value.id in {"log", "_log", "logger"}
                ):
                    yield f"{place}:{node.lineno}", node


def texts(event: ast.expr) -> list[object]:
    """What the event can be."""
    if isinstance(event, ast.IfExp):
        return [*texts(event.body), *texts(event.orelse)]
    return [event.value if isinstance(event, ast.Constant) else None]


def test_every_event_is_a_name_and_all_else_a_field() -> None:
    """`log.error("call_failed", api_id=…)`, never words with values in between."""
    wrong = [
        place
        for place, call in calls()
        if len(call.args) != 1
        or not all(isinstance(text, str) and NAME.fullmatch(text) for text in texts(call.args[0]))
    ]
    assert wrong == []


def test_the_rule_sees_the_lines() -> None:
    assert len(list(calls())) > 90

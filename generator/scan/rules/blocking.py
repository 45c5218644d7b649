"""Waiting that stops every other call."""

import ast
from collections.abc import Iterator

from generator.scan.subject import Subject, found
from generator.types import Finding

RULES = {
    "blocks_the_loop": "`time.sleep`, `kv.sync` or a blocking client in an `async def`.",
}
_PREFIXES = ("time.sleep", "kv.sync.", "sandgate_runtime.kv.sync.", "requests.", "urllib.request.")


def check(subject: Subject) -> Iterator[Finding]:
    """Calls on the event loop."""
    for call in subject.of(ast.Call):
        name = subject.dotted(call.func)
        if name.startswith(_PREFIXES) and subject.in_async(call):
            text = f"{name} blocks every other call; await something instead"
            yield found("blocks_the_loop", text, call)

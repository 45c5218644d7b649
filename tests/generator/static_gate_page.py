"""The rules as a page: `python -m tests.generator.static_gate_page` prints it, a test compares."""

import sys
from collections.abc import Iterator
from types import ModuleType

from generator import invariants, replace, scan, template
from generator.scan import bandit, reading, ruff
from generator.scan.rules import ALL

_HEAD = """# Static gate

**Context.** A model writes code that will run for strangers. About half of what models write and tests pass can be attacked; telling the model to be careful does not change that, and a gate alone teaches it to take checks away. What is written is as hostile as what anybody posts.

**Decision.**

- The model writes a *body* between two lines of marks. What stands before and after belongs to the platform: dependencies at pinned versions of an allow list, the application, one shape of errors, a bound on request bodies, the store, and a client that reaches the contract's hosts and no others. It depends on the contract alone, byte for byte, and the file says from which facts it was made; a file with another byte there is not ours (`body_of`).
- The gate reads the body and never imports or runs it. First its text is bounded and parsed, so that rules only meet trees that are small and shallow. Then every rule below looks at the tree; ruff and bandit look at the whole file as child processes without anybody's configuration, with a deadline, deaf to comments that would switch them off. What they find has lines of the body, and what a rule of ours says already is not said again. A tool that does not finish is an error: nothing is known then.
- Unused imports and format are mended before anything is looked at, in the body alone.
- The sandbox holds whatever gets past these rules. They are here for code that is careless, and to make attempts visible; they are not the wall.
- An edit replaces text that is there exactly once. All edits of a turn apply or none does, and the result must differ. What does not apply is told with lines.
- A repair is compared with what it repairs. Each route has the guards of its own function and of all the helpers, models and dependencies that it names, so a guard may be renamed or moved; a guard that is gone fails the repair.

**Consequences.** Some honest code is refused: `getattr` with a computed name, patterns from variables, a list check written as a look-up. The finding says what to write instead. `warning` stops nothing and is kept with the version. Files below `/tmp` last as long as the sandbox; what is to last belongs into `kv`. A new version of ruff or bandit may find more in code that passed before; versions that are live are not looked at again.

**Enforced by.** `generator/template.py`, `generator/scan/`, `generator/replace.py`, `generator/invariants.py`; `tests/generator`. This page is made by `python -m tests.generator.static_gate_page` and compared with its source.
"""  # noqa: E501 - paragraphs of a page
_TABLE = "\n| rule | what it finds |\n|---|---|\n"


def page() -> str:
    """The whole page."""
    return "".join([_HEAD, *_rules(), *_packages()])


def _rules() -> Iterator[str]:
    yield "\n## Rules\n"
    yield from _table("Text that is no code", reading)
    for module in ALL:
        yield from _table((module.__doc__ or "").strip().rstrip("."), module)
    yield from _table("Tools", ruff, bandit, scan)
    yield from _table("Edits", replace)
    yield from _table("Guards", invariants)


def _table(title: str, *modules: ModuleType) -> Iterator[str]:
    yield f"\n### {title}\n{_TABLE}"
    for module in modules:
        for rule, what in module.RULES.items():
            yield f"| `{rule}` | {what.replace('|', chr(92) + '|')} |\n"


def _packages() -> Iterator[str]:
    yield "\n## Packages\n\nA contract may state these, at these versions and no others.\n"
    yield "\n| package | version | imported as |\n|---|---|---|\n"
    for name, row in template.packages().items():
        modules = ", ".join(f"`{module}`" for module in row["modules"])
        yield f"| {name} | {row['version']} | {modules} |\n"


if __name__ == "__main__":
    sys.stdout.write(page())

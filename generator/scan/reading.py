"""Turns hostile text into a tree that every rule can walk safely, or into findings."""

import ast
import re
import warnings

from generator.contract import Contract
from generator.scan.subject import Subject, found, subject_of
from generator.types import Finding

MAX_CHARACTERS = 100_000
MAX_LINES = 2_500
MAX_LINE = 4_000
MAX_DEPTH = 60
MAX_NODES = 40_000
RULES = {
    "body_empty": "There is no code.",
    "body_too_large": f"More than {MAX_CHARACTERS} characters, {MAX_LINES} lines, "
    f"{MAX_LINE} characters in a line or {MAX_NODES} syntax nodes.",
    "not_plain_text": "NUL or other control characters, lone surrogates, or characters that "
    "turn the direction of text so that it reads otherwise than it runs.",
    "syntax_error": "Does not parse.",
    "nested_too_deeply": f"Expressions or blocks nested more than {MAX_DEPTH} deep.",
    "script_block": "A `# /// script` block: dependencies are the contract's.",
}
_NOT_PLAIN = re.compile("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
_SCRIPT = re.compile(r"[ \t]*#[ \t]*///", re.IGNORECASE)


def normal(body: str) -> str:
    """Line ends as Python reads them, one at the end."""
    text = body.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n")
    return text.rstrip("\n") + "\n" if text.strip() else ""


def read(contract: Contract, body: str) -> Subject | tuple[Finding, ...]:
    """The body as rules want it, or why it cannot be had."""
    tree = parsed(body)
    return (tree,) if isinstance(tree, Finding) else subject_of(contract, body, tree)


def parsed(body: str) -> ast.Module | Finding:
    """A tree that is small and shallow, or why there is none."""
    finding = _of_text(body)
    if finding is not None:
        return finding
    try:
        tree = _tree(body)
    except (RecursionError, MemoryError):
        return _too_deep(None)
    except SyntaxError as error:
        if "nested" in str(error.msg) or "too many" in str(error.msg):
            return _too_deep(error.lineno)
        return found("syntax_error", f"the code does not parse: {error.msg}", error.lineno)
    except ValueError as error:
        return found("syntax_error", f"the code does not parse: {error}", None)
    return _of_tree(tree) or tree


def _tree(body: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ruff says the same, with its place
        return ast.parse(body)


def _of_text(body: str) -> Finding | None:
    if not body.strip():
        return found("body_empty", "there is no code", None)
    if len(body) > MAX_CHARACTERS:
        return found("body_too_large", f"at most {MAX_CHARACTERS} characters are taken", None)
    lines = body.split("\n")
    if len(lines) > MAX_LINES:
        return found("body_too_large", f"at most {MAX_LINES} lines are taken", MAX_LINES)
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE:
            return found("body_too_large", f"a line has at most {MAX_LINE} characters", number)
        if match := _NOT_PLAIN.search(line):
            what = f"the character U+{ord(match[0]):04X} may not stand in code; write an escape"
            return found("not_plain_text", what, number)
        if _SCRIPT.match(line):
            return found("script_block", "dependencies are stated by the contract", number)
    return None


def _of_tree(tree: ast.Module) -> Finding | None:
    """Without recursion, because the tree may be deep."""
    count, depth, level = 0, 0, list[ast.AST]([tree])
    while level:
        count, depth = count + len(level), depth + 1
        if depth > MAX_DEPTH:
            return _too_deep(next((x.lineno for x in level if hasattr(x, "lineno")), None))
        if count > MAX_NODES:
            return found("body_too_large", "the code has too many parts", None)
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return None


def _too_deep(line: int | None) -> Finding:
    return found("nested_too_deeply", f"at most {MAX_DEPTH} levels of nesting are taken", line)

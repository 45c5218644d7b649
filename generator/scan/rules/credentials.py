"""Secrets in the code."""

import ast
import math
import re
from collections import Counter
from collections.abc import Iterator

from generator.scan.subject import Subject, constant_text, found
from generator.types import Finding

RULES = {
    "credential_in_code": "Text in the shape of a known key, token or private key, "
    "or an address with a password.",
    "secret_in_code": "A constant under a name such as `password`, `token` or `api_key`.",
}
_SHAPES = {
    "an AWS key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "an Anthropic or OpenAI key": r"\bsk-[A-Za-z0-9_-]{20,200}",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{30,200}|github_pat_[A-Za-z0-9_]{22,200})",
    "a Slack token": r"\bxox[abeoprs]-[A-Za-z0-9-]{10,200}",
    "a Google key": r"\bAIza[0-9A-Za-z_-]{35}",
    "a Stripe key": r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{10,200}",
    "a key of this platform": r"\bsg_live_[A-Za-z0-9]{10,200}",
    "a GitLab token": r"\bglpat-[A-Za-z0-9_-]{20,200}",
    "a package index token": r"\bpypi-[A-Za-z0-9_-]{30,300}",
    "a private key": r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----",
    "a signed token": r"\beyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,2000}\.[A-Za-z0-9_-]{10,}",
    "a password in an address": r"\b[a-z][a-z0-9+]{1,20}://[^\s/:@'\"{}]{1,100}:[^\s/@'\"{}]{1,100}@",
}
_KNOWN = re.compile("|".join(f"({shape})" for shape in _SHAPES.values()))
_NAMES = tuple(_SHAPES)
_SECRET = re.compile(
    r"(?:^|_)(?:passw(?:or)?d|pwd|secret|token|api_?key|apikey|private_?key|access_?key"
    r"|credentials?)(?:$|_)",
    re.IGNORECASE,
)
_NOT_SECRET = re.compile(r"(?:name|header|field|url|length|pattern|prefix|type|message)$", re.I)
_ENTROPY = 2.75


def check(subject: Subject) -> Iterator[Finding]:
    """Every line, comments too, and every constant under a telling name."""
    shaped = set()
    for number, line in enumerate(subject.body.split("\n"), 1):
        if match := _KNOWN.search(line):
            shaped.add(number)
            what = _NAMES[(match.lastindex or 1) - 1]
            yield found("credential_in_code", f"the code holds {what}", number)
    for name, value in _named(subject):
        text = constant_text(value)
        if text is not None and value.lineno not in shaped and is_secret(name, text):
            message = f"{name} is a constant; take it from os.environ by name"
            yield found("secret_in_code", message, value)


def is_secret(name: str, text: str) -> bool:
    """Whether a constant under this name looks like one that nobody should read."""
    if not _SECRET.search(name) or _NOT_SECRET.search(name):
        return False
    return 8 <= len(text) <= 500 and not re.search(r"\s", text) and _entropy(text) >= _ENTROPY


def _entropy(text: str) -> float:
    shares = [count / len(text) for count in Counter(text).values()]
    return -sum(share * math.log2(share) for share in shares)


def _named(subject: Subject) -> Iterator[tuple[str, ast.expr]]:
    for node in subject.nodes:
        if isinstance(node, ast.Assign):
            yield from ((_name(target), node.value) for target in node.targets)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            yield _name(node.target), node.value
        elif isinstance(node, ast.keyword):
            yield node.arg or "", node.value
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            yield from ((constant_text(key) or "", value) for key, value in pairs)
        elif isinstance(node, ast.Compare) and len(node.comparators) == 1:
            yield _name(node.left), node.comparators[0]
        elif isinstance(node, ast.arguments):
            places = [*node.posonlyargs, *node.args]
            yield from (
                (arg.arg, value)
                for arg, value in zip(places[::-1], node.defaults[::-1], strict=False)
            )
            known = zip(node.kwonlyargs, node.kw_defaults, strict=True)
            yield from ((arg.arg, value) for arg, value in known if value is not None)


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript):
        return constant_text(node.slice) or ""
    return node.id if isinstance(node, ast.Name) else ""

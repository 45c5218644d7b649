"""Connections whose other end is not checked."""

import ast
from collections.abc import Iterator

from generator.scan.subject import Subject, found
from generator.types import Finding

RULES = {"certificate_not_checked": "`verify=False`, `check_hostname=False` or their like."}
_SWITCHES = frozenset({"verify", "check_hostname", "ssl", "verify_ssl"})


def check(subject: Subject) -> Iterator[Finding]:
    """Keywords that switch the check off."""
    for call in subject.of(ast.Call):
        for keyword in call.keywords:
            value = keyword.value
            if (
                keyword.arg in _SWITCHES
                and isinstance(value, ast.Constant)
                and value.value in (False, None)
            ):
                text = f"{keyword.arg}={value.value} lets anybody answer"
                yield found("certificate_not_checked", text, call)

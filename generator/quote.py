"""Texts of others as data for the model: encoded, labelled, bounded, never among our own words."""

import hashlib
import json
import unicodedata
from collections.abc import Iterable
from typing import Any

from generator.types import Finding, Gate

_FINDINGS = 25
_MESSAGE = 500
_DETAIL = 800
_ALL_DETAILS = 8_000
_KEPT = {"\n", "\t"}
_ORDER = {gate: place for place, gate in enumerate((Gate.EDIT, *Gate))}


def data(name: str, value: Any) -> str:
    """One JSON value between marks that it cannot close."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True).replace("<", "\\u003c")
    return f'<data name="{name}">{text.encode("utf-8", "replace").decode()}</data>'


def block(name: str, text: str) -> str:
    """Text as it is, for exact copies, between marks that it cannot hold: they are its digest."""
    readable = text.encode("utf-8", "replace").decode()
    mark = hashlib.sha256(readable.encode()).hexdigest()[:16]
    return f'<data name="{name}" mark="{mark}">\n{readable}\n</data {mark}>'


def clean(text: str, limit: int) -> str:
    """Without control characters and what UTF-8 cannot carry; the middle goes when too long."""
    near = text if len(text) <= limit * 8 else _ends(text, limit * 8)
    return _ends("".join(one for one in near if one in _KEPT or _is_readable(one)), limit)


def listed(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Findings for the model: those that stop first, each problem once, excerpts within bounds."""
    left, seen, told = _ALL_DETAILS, set[str](), list[dict[str, Any]]()
    for finding in sorted(findings, key=_weight):
        if finding.fingerprint in seen or len(told) == _FINDINGS:
            continue
        seen.add(finding.fingerprint)
        detail = clean(finding.detail, min(_DETAIL, left)) if left > 0 else ""
        left -= len(detail)
        told.append(_plain(finding, detail))
    return told


def _ends(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} … {text[len(text) - half :]}"


def _plain(finding: Finding, detail: str) -> dict[str, Any]:
    whole = {
        "gate": finding.gate,
        "rule": finding.rule,
        "severity": finding.severity,
        "operation": finding.operation,
        "line": finding.line,
        "message": clean(finding.message, _MESSAGE),
        "detail": detail,
    }
    return {name: value for name, value in whole.items() if value not in ("", None)}


def _weight(finding: Finding) -> tuple[bool, int, str, int]:
    return not finding.stops, _ORDER[finding.gate], finding.operation, finding.line or 0


def _is_readable(character: str) -> bool:
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn"}

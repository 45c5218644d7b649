"""One list of findings out of several: lines of the body, each thing said once, bounded."""

from collections.abc import Iterable
from dataclasses import replace

from generator.types import Finding

MAX_FINDINGS = 100
# what a tool would say again on a line that one of our rules named
_SAME = {
    "sql_built_from_text": {"608"},
    "call_not_allowed": {"102", "307", "701"},
    "import_not_allowed": {"301", "302", "303", "304", "305", "306", "307", "308", "309", "310",
                           "311", "312", "401", "402", "403", "404", "405", "406", "407", "408",
                           "409", "411", "412", "413", "415"},
    "name_not_importable": {"309", "310", "404", "602", "603", "604", "605", "606", "607"},
    "certificate_not_checked": {"501", "502", "503"},
    "error_hidden": {"110", "112", "E722", "B001", "BLE001"},
    "templates_without_escape": {"701"},
    "blocks_the_loop": {"ASYNC210", "ASYNC230", "ASYNC251"},
    "unbounded_decompression": {"202"},
    "secret_in_code": {"105", "106", "107"},
    "syntax_error": {"invalid-syntax"},
    "platform_name_taken": {"F811"},
    "file_write": {"108", "ASYNC230"},
    "path_not_constant": {"108", "ASYNC230"},
}  # fmt: skip


def merged(
    own: Iterable[Finding],
    tools: Iterable[tuple[str, Finding]],
    *,
    offset: int,
    lines: int,
) -> tuple[Finding, ...]:
    """All findings, in the order of the body, errors first where there are too many."""
    kept = list(dict.fromkeys(own))
    said = {(one.line, same) for one in kept for same in _SAME.get(one.rule, ())}
    for code, finding in tools:
        line = (finding.line or 0) - offset
        key = (line, _topic(code))
        if 1 <= line <= lines and key not in said:
            said.add(key)
            kept.append(replace(finding, line=line))
    kept.sort(key=lambda one: (not one.stops, one.line or 0, one.rule))
    return tuple(sorted(kept[:MAX_FINDINGS], key=lambda one: (one.line or 0, one.rule)))


def _topic(code: str) -> str:
    """ruff's S608 is bandit's B608."""
    is_shared = len(code) == 4 and code[0] in "SB" and code[1:].isdigit() and code[1:] >= "100"
    return code[1:] if is_shared else code

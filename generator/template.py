"""The platform's part of the file that is deployed, around the body that the model writes.

It depends on the contract alone: the same contract always gives the same bytes.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from generator.contract import Contract, Storage

VERSION = 1
_FACTS = "# sandgate-template "
_BODY = "# " + "-" * 30 + " body " + "-" * 30
_END = "# " + "-" * 30 + " end of body " + "-" * 30
_FOOT = f"\n\n{_END}\napp.include_router(router)\n"
_PLACE = re.compile(r"@([a-z]+)@")
_NAME_ENDS = re.compile(r"[^A-Za-z0-9._-]")


@cache
def packages() -> Mapping[str, Mapping[str, Any]]:
    """The allow list: name → version and modules."""
    found: dict[str, dict[str, Any]] = json.loads(_text("packages.json"))
    return found


def package_of(requirement: str) -> str | None:
    """Name on the allow list that a dependency means; None when it is not there."""
    text = "".join(requirement.split())
    written = _NAME_ENDS.split(text, maxsplit=1)[0]
    name = re.sub(r"[-_.]+", "-", written).lower()
    wanted = text.removeprefix(written)
    if name not in packages() or wanted not in {"", f"=={packages()[name]['version']}"}:
        return None
    return name


def assemble(contract: Contract, body: str) -> str:
    """The whole file."""
    return _head(_facts(contract)) + body + _FOOT


def body_of(code: str, contract: Contract | None = None) -> str | None:
    """The body; None when a byte around it is not the platform's, or not this contract's."""
    facts = _facts_in(code)
    if facts is None or (contract is not None and facts != _facts(contract)):
        return None
    head = _head(facts)
    if not (code.startswith(head) and code.endswith(_FOOT)):
        return None
    return code[len(head) : -len(_FOOT)] if len(code) >= len(head) + len(_FOOT) else None


def offset(contract: Contract) -> int:
    """Lines of the file before the first one of the body."""
    return _head(_facts(contract)).count("\n")


def head(contract: Contract) -> str:
    """What stands before the body."""
    return _head(_facts(contract))


def _facts(contract: Contract) -> dict[str, Any]:
    """All that the platform's part takes from a contract."""
    names = {name for one in contract.dependencies if (name := package_of(one))}
    return {
        "version": VERSION,
        "title": contract.title,
        "summary": contract.summary,
        "kv": contract.storage is Storage.KV,
        "hosts": sorted({host.lower() for host in contract.outbound_hosts}),
        "packages": [f"{name}=={packages()[name]['version']}" for name in sorted(names)],
    }


def _facts_in(code: str) -> dict[str, Any] | None:
    """The facts that a file states of itself, if it states them as `_facts` would."""
    for line in code.split("\n", 60)[:60]:
        if line.startswith(_FACTS):
            return _read_facts(line.removeprefix(_FACTS))
    return None


def _read_facts(text: str) -> dict[str, Any] | None:
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError):
        return None
    shape = {"version": int, "title": str, "summary": str, "kv": bool, "hosts": list}
    if not isinstance(facts, dict) or set(facts) != {*shape, "packages"}:
        return None
    lists = [facts["hosts"], facts["packages"]]
    if not all(isinstance(one, list) and all(isinstance(x, str) for x in one) for one in lists):
        return None
    if not all(isinstance(facts[name], kind) for name, kind in shape.items()):
        return None
    known = {f"{name}=={row['version']}" for name, row in packages().items()}
    is_ours = facts["version"] == VERSION and set(facts["packages"]) <= known
    return facts if is_ours and json.dumps(facts) == text else None


def _head(facts: Mapping[str, Any]) -> str:
    filled = {
        "imports": _imports(facts),
        "parts": _parts(facts),
        "title": ascii(facts["title"]),
        "summary": ascii(facts["summary"]),
    }
    text = _PLACE.sub(lambda match: filled[match[1]], _text("head.txt"))
    return f"{_script(facts)}{_FACTS}{json.dumps(facts)}\n{text}\n\n{_BODY}\n"


def _script(facts: Mapping[str, Any]) -> str:
    if not facts["packages"]:
        return ""
    rows = "".join(f"#   {json.dumps(one)},\n" for one in facts["packages"])
    return f"# /// script\n# dependencies = [\n{rows}# ]\n# ///\n"


def _imports(facts: Mapping[str, Any]) -> str:
    lines = ["import asyncio as _asyncio", "import httpx as _httpx"] if facts["hosts"] else []
    if facts["kv"]:
        lines.append("from sandgate_runtime import kv")
    return "\n".join(lines)


def _parts(facts: Mapping[str, Any]) -> str:
    if not facts["hosts"]:
        return ""
    hosts = "(" + "".join(f"{host!a}, " for host in facts["hosts"]).strip() + ")"
    return _PLACE.sub(lambda _: hosts, _text("http.txt")).rstrip("\n")


@cache
def _text(name: str) -> str:
    return resources.files("generator.frame").joinpath(name).read_text("utf-8")

"""From what a probe saw to whether the wall held. Pure; what comes out of a sandbox is hostile."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sandbox.probes.limits import FIRST_UID, RESOURCES, SHM_MB
from sandbox.types import Tier

REFUSED = {"EPERM", "ENOSYS"}
# variables of ours that say nothing: the runner's, bubblewrap's PWD, the engine's HOSTNAME
HARMLESS = {"", "HOME", "HOSTNAME", "LANG", "LOGNAME", "MALLOC_ARENA_MAX", "PATH", "PWD", "USER"}
OWN_FOLDERS = ("/dev/shm", "/tmp")  # noqa: S108 - those of the sandbox
SUPERVISOR_SHOWN = ("variables of", "fd of")  # by gVisor, which has no notion of not dumpable
MOST_LINES = 20_000
_LONGEST_DETAIL = 200

Finding = str
Json = Mapping[str, Any]


class Verdict(StrEnum):
    """Of one probe, or of one row on one tier."""

    HELD = "held"
    ESCAPED = "escaped"
    NOT_APPLICABLE = "not applicable"  # the reason is told
    UNKNOWN = "unknown"  # the probe did not come to an end, which is no proof of anything


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict with its reason in words."""

    verdict: Verdict
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Ground:
    """Where it was tried: the tier, and what this machine does not give to it."""

    tier: Tier
    missing: Collection[str] = ()


def judge_look(name: str, raw: Any, ground: Ground) -> Judged:
    """What looking around, reaching out or asking the kernel came to."""
    if isinstance(raw, dict) and "failed" in raw:
        return Judged(Verdict.UNKNOWN, _cut(f"{name}: {raw['failed']}"))
    if isinstance(raw, dict) and "ended" in raw:
        return Judged(Verdict.HELD, "it was the end of the sandbox")
    return _judged(name, lambda: LOOKS[name](raw, ground))


def judge_hog(name: str, raw: Any) -> Judged:
    """What taking all there is came to, for the host and for a neighbour."""
    return _judged(name, lambda: _hog(name, raw))


def worst(judged: list[Judged]) -> Judged:
    """Of several probes of one row: any that escaped counts."""
    order = (Verdict.ESCAPED, Verdict.UNKNOWN, Verdict.HELD, Verdict.NOT_APPLICABLE)
    for verdict in order:
        details = [one.detail for one in judged if one.verdict is verdict]
        if details:
            return Judged(verdict, "; ".join(dict.fromkeys(filter(None, details))))
    return Judged(Verdict.NOT_APPLICABLE, "nothing to try")


def _judged(name: str, judge: Callable[[], list[Finding]]) -> Judged:
    try:
        findings = judge()
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return Judged(Verdict.UNKNOWN, f"{name}: an answer that cannot be read")
    if findings:
        return Judged(Verdict.ESCAPED, _cut(f"{name}: {', '.join(map(str, findings))}"))
    return Judged(Verdict.HELD)


def _cut(text: str) -> str:
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return shown if len(shown) <= _LONGEST_DETAIL else f"{shown[:_LONGEST_DETAIL]}…"


# --- looks --------------------------------------------------------------------------------


def _done(raw: Json) -> list[Finding]:
    """Those attempts that were not refused; not to have tried anything is no success."""
    if not raw:
        raise ValueError("nothing was tried")
    return [str(name) for name, error in raw.items() if error == "ok"]


def _status(raw: Json, ground: Ground) -> list[Finding]:
    ids = {*raw["Uid"].split(), *raw["Gid"].split()}
    own = len(ids) == 1 and int(min(ids)) >= FIRST_UID
    found = [] if own or "own user for each sandbox" in ground.missing else [f"it runs as {ids}"]
    rights = ("CapPrm", "CapEff", "CapAmb")
    found += [name for name in rights if int(raw.get(name, "0"), 16) != 0]
    if ground.tier is not Tier.GVISOR:  # its kernel has neither, and nothing to filter
        found += [] if raw["NoNewPrivs"] == "1" else ["new privileges can be gained"]
        found += [] if raw["Seccomp"] == "2" else ["no system call filter"]
    return found


def _variables(raw: Json, _: Ground) -> list[Finding]:
    return [f"{name} is shown" for name in raw["shown"] if name not in HARMLESS]


def _processes(raw: list[str], _: Ground) -> list[Finding]:
    return [line for line in raw if line.strip() and "-m runner" not in line]


def _descriptors(raw: list[str], _: Ground) -> list[Finding]:
    return [path for path in raw if path != "/dev/null"]


def _chance(raw: Json, _: Ground) -> list[Finding]:
    own, other = raw["own"], raw["other"]
    if len(own) != len(other):
        raise ValueError("not the same values")
    return [f"{value} twice" for value in own if value in other]


def _nothing(raw: list[str], _: Ground) -> list[Finding]:
    return [str(one) for one in raw]


def _calls(raw: Json, ground: Ground) -> list[Finding]:
    if not raw:
        raise ValueError("nothing was tried")
    if ground.tier in (
        Tier.GVISOR,
        Tier.VM,
    ):  # asked of a kernel of its own; the host's never hears
        return []
    return [f"{name} ({error})" for name, error in raw.items() if error not in REFUSED]


def _compat(raw: str, _: Ground) -> list[Finding]:
    return ["a 32-bit call was answered"] if raw == "ok" else []


def _families(raw: Json, ground: Ground) -> list[Finding]:
    if ground.tier in (Tier.GVISOR, Tier.VM):
        return _done(raw)
    return [f"{name} ({error})" for name, error in raw.items() if error != "EPERM"]


def _attempts(raw: Json, _: Ground) -> list[Finding]:
    return _done(raw)


def _supervisor(raw: Json, ground: Ground) -> list[Finding]:
    shown = SUPERVISOR_SHOWN if ground.tier is Tier.GVISOR else ()
    return [name for name in _done(raw) if not name.startswith(shown)]


def _writes(raw: list[str], _: Ground) -> list[Finding]:
    return [folder for folder in raw if not folder.startswith(OWN_FOLDERS)]


def _nodes(raw: Json, ground: Ground) -> list[Finding]:
    # where it is not given, a program in /tmp may do what whoever wrote it may do anyway
    allowed = {"run from tmp"} if "noexec on /tmp" in ground.missing else set()
    if not raw:
        raise ValueError("nothing was tried")
    done = [name for name, error in raw.items() if error in ("ok", "nothing")]
    return [name for name in done if name not in allowed]


def _host_facts(raw: Json, _: Ground) -> list[Finding]:
    found = [path for path, size in raw["sizes"].items() if size]
    found += [] if not raw["addresses"] else ["addresses in the kernel"]
    found += [] if raw["hostname"] == "sandbox" else ["the host's name"]
    return found + ([] if len(raw["control folders"]) <= 1 else ["another's control folder"])


def _files(raw: Json, _: Ground) -> list[Finding]:
    found = [*raw["programs"], *raw["privileged"], *raw["devices"], *raw["sockets"]]
    return [path for path in found if not path.startswith(("/ctl/", "/tmp/"))]  # noqa: S108


def _network(raw: Json, _: Ground) -> list[Finding]:
    if not raw["interfaces"]:
        raise ValueError("nothing was seen")
    found = [name for name in raw["interfaces"] if name != "lo"]
    found += [f"{name} was reached" for name in _done(raw["dialled"])]
    return found + [name for name in ("sent", "pinged", "resolved") if raw[name] == "ok"]


def _engine_sockets(raw: Json, _: Ground) -> list[Finding]:
    return [*_done(raw), *(f"abstract {name}" for name in raw["abstract"])]


def _neighbour(raw: str, _: Ground) -> list[Finding]:
    return [] if raw == "alive" else ["it answers no more"]


LOOKS: Mapping[str, Callable[[Any, Ground], list[Finding]]] = {
    "status": _status,
    "variables": _variables,
    "processes": _processes,
    "descriptors": _descriptors,
    "chance": _chance,
    "leftovers": _nothing,
    "calls": _calls,
    "compat": _compat,
    "families": _families,
    "terminal": _attempts,
    "supervisor": _supervisor,
    "writes": _writes,
    "control": _attempts,
    "nodes": _nodes,
    "kernel_files": _attempts,
    "host_facts": _host_facts,
    "files": _files,
    "network": _network,
    "engine_sockets": _engine_sockets,
    "search": _nothing,
    "neighbour": _neighbour,
}

# --- hogs ---------------------------------------------------------------------------------

# what each may reach at most; what is not here has to meet an error or its end
MOST = {
    "forks": RESOURCES.pids,
    "threads": RESOURCES.pids,
    "tmp": RESOURCES.tmp_mb * 1.05,
    "shared": SHM_MB * 1.05,
}
ENDED = {"spin", "spin-loop", "kill_app"}  # these cannot go on
FREE = {"zombies", "stubborn", "flood", "endless_line", "kill_all"}  # these may come to their end


def _hog(name: str, raw: Json) -> list[Finding]:
    neighbour = raw["neighbour"]
    found = [f"{one} is left" for one in raw["left"]]
    if not neighbour["calls"] or neighbour["failed"]:
        found.append(f"a neighbour failed {neighbour['failed']} of {neighbour['calls']} calls")
    if raw["lines"] > MOST_LINES:
        found.append(f"{raw['lines']} log lines")
    return found + ([] if raw["end"] is not None else _bounds(name, raw))


def _bounds(name: str, raw: Json) -> list[Finding]:
    """Of one that is still there."""
    answer = raw["answer"]
    if name in ENDED:
        return ["it was not ended"]
    if name in FREE:
        return []
    if answer is None:
        return ["it neither answers nor ends"]
    if answer["error"] == "ok" or answer["count"] > MOST.get(name, answer["count"]):
        return [f"no limit was met at {answer['count']}"]
    return [] if raw["alive"] else ["it answers no more and did not end"]

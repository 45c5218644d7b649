"""Verdicts from what probes saw: what held, what escaped, and what proves nothing."""

from typing import Any

import pytest

from sandbox.probes.escape import Seen
from sandbox.probes.judge import Ground, Judged, Verdict, judge_hog, judge_look, worst
from sandbox.probes.report import report
from sandbox.types import Tier

GOOD: dict[str, Any] = {
    "status": {
        "Uid": "805306370 805306370",
        "Gid": "805306370",
        "CapPrm": "0",
        "CapEff": "0",
        "CapAmb": "0",
        "NoNewPrivs": "1",
        "Seccomp": "2",
    },
    "variables": {"own": ["SECRET"], "shown": ["", "HOME", "PATH"]},
    "processes": ["/python/bin/python3 -I -m runner", ""],
    "descriptors": ["/dev/null"],
    "chance": {"own": ["1", "2"], "other": ["3", "4"]},
    "leftovers": [],
    "calls": {"mount": "EPERM", "bpf": "ENOSYS"},
    "compat": "SIGSYS",
    "families": {"alg": "EPERM"},
    "terminal": {"0": "ENOTTY"},
    "supervisor": {"memory of 1": "EACCES"},
    "writes": ["/tmp", "/dev/shm"],
    "control": {"remove": "EROFS"},
    "nodes": {"disk": "EPERM", "run from tmp": "EACCES"},
    "kernel_files": {"/proc/kcore": "ENOENT"},
    "host_facts": {
        "sizes": {"/proc/keys": 0},
        "addresses": [],
        "hostname": "sandbox",
        "control folders": ["/x"],
        "writable mounts": [],
    },
    "files": {"programs": [], "privileged": [], "devices": [], "sockets": ["/ctl/control.sock"]},
    "network": {
        "interfaces": ["lo"],
        "dialled": {"metadata": "ENETUNREACH"},
        "sent": "ENETUNREACH",
        "pinged": "EPERM",
        "resolved": "gaierror",
    },
    "engine_sockets": {"/run/docker.sock": "ENOENT", "abstract": []},
    "search": [],
    "neighbour": "alive",
}
BAD: list[tuple[str, Any]] = [
    ("status", GOOD["status"] | {"Uid": "0 0"}),
    ("status", GOOD["status"] | {"CapEff": "00000000a80425fb"}),
    ("status", GOOD["status"] | {"Seccomp": "0"}),
    ("status", GOOD["status"] | {"NoNewPrivs": "0"}),
    ("variables", {"own": [], "shown": ["SECRET"]}),
    ("processes", ["/usr/sbin/sshd"]),
    ("descriptors", ["/var/lib/host"]),
    ("chance", {"own": ["1"], "other": ["1"]}),
    ("leftovers", ["/tmp/of-another"]),
    ("calls", {"mount": "ok"}),
    ("calls", {"mount": "EINVAL"}),  # it went into the kernel
    ("compat", "ok"),
    ("families", {"alg": "ok"}),
    ("terminal", {"0": "ok"}),
    ("supervisor", {"memory of 1": "ok"}),
    ("writes", ["/ctl"]),
    ("control", {"remove": "ok"}),
    ("nodes", {"disk": "ok"}),
    ("nodes", {"run from tmp": "nothing"}),
    ("kernel_files", {"/proc/kcore": "ok"}),
    ("host_facts", GOOD["host_facts"] | {"hostname": "host"}),
    ("host_facts", GOOD["host_facts"] | {"control folders": ["/x", "/y"]}),
    ("host_facts", GOOD["host_facts"] | {"sizes": {"/proc/keys": 7}}),
    ("host_facts", GOOD["host_facts"] | {"addresses": ["ffffffff81000000 T"]}),
    ("files", GOOD["files"] | {"privileged": ["/bin/su"]}),
    ("files", GOOD["files"] | {"sockets": ["/run/docker.sock"]}),
    ("network", GOOD["network"] | {"interfaces": ["lo", "eth0"]}),
    ("network", GOOD["network"] | {"dialled": {"metadata": "ok"}}),
    ("network", GOOD["network"] | {"resolved": "ok"}),
    ("engine_sockets", {"/run/docker.sock": "ok", "abstract": []}),
    ("engine_sockets", {"abstract": ["@containerd"]}),
    ("search", ["/proc/7/environ"]),
    ("neighbour", "gone"),
]
STRANGE: list[Any] = [None, 5, "text", [1], {}, {"a": {}}, [[]], {"shown": 5}, {"sizes": []}]


def hog(**changed: Any) -> dict[str, Any]:
    seen: dict[str, Any] = {
        "answer": {"count": 10, "error": "EAGAIN"},
        "end": None,
        "alive": True,
        "lines": 0,
        "left": [],
        "neighbour": {"calls": 20, "failed": 0, "slowest": 0.1},
    }
    return seen | changed


@pytest.mark.parametrize("name", GOOD)
def test_what_was_refused_held(name: str) -> None:
    assert judge_look(name, GOOD[name], Ground(Tier.RUNC)) == Judged(Verdict.HELD)


@pytest.mark.parametrize(("name", "raw"), BAD)
def test_what_was_reached_escaped_and_is_named(name: str, raw: Any) -> None:
    judged = judge_look(name, raw, Ground(Tier.RUNC))
    assert judged.verdict is Verdict.ESCAPED
    assert judged.detail.startswith(f"{name}: ")


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("raw", STRANGE)
def test_a_strange_answer_never_breaks_the_judge(name: str, raw: Any) -> None:
    for tier in Tier:
        assert judge_look(name, raw, Ground(tier)).verdict in Verdict
        assert judge_hog("forks", raw).verdict is Verdict.UNKNOWN


def test_no_answer_proves_nothing_and_the_end_of_the_sandbox_holds() -> None:
    unknown = judge_look("calls", {"failed": "no answer"}, Ground(Tier.RUNC))
    assert (unknown.verdict, unknown.detail) == (Verdict.UNKNOWN, "calls: no answer")
    assert judge_look("compat", {"ended": "killed"}, Ground(Tier.RUNC)).verdict is Verdict.HELD


@pytest.mark.parametrize("name", ["calls", "control", "kernel_files", "terminal", "supervisor"])
@pytest.mark.parametrize("tier", [Tier.RUNC, Tier.GVISOR])
def test_not_to_have_tried_is_no_success(name: str, tier: Tier) -> None:
    assert judge_look(name, {}, Ground(tier)).verdict is Verdict.UNKNOWN


def test_what_a_machine_does_not_give_is_not_held_against_it() -> None:
    ground = Ground(Tier.BWRAP, ("noexec on /tmp", "own user for each sandbox"))
    assert judge_look("nodes", {"run from tmp": "nothing"}, ground).verdict is Verdict.HELD
    assert judge_look("nodes", {"disk": "ok"}, ground).verdict is Verdict.ESCAPED
    same = GOOD["status"] | {"Uid": "1000 1000", "Gid": "1000"}
    assert judge_look("status", same, ground).verdict is Verdict.HELD
    assert judge_look("status", same, Ground(Tier.BWRAP)).verdict is Verdict.ESCAPED


def test_a_kernel_of_its_own_may_answer() -> None:
    own = Ground(Tier.GVISOR)
    assert judge_look("calls", {"unshare": "ok", "syslog": "ok"}, own).verdict is Verdict.HELD
    assert judge_look("families", {"alg": "EAFNOSUPPORT"}, own).verdict is Verdict.HELD
    assert judge_look("families", {"alg": "ok"}, own).verdict is Verdict.ESCAPED
    assert judge_look("control", {"remove": "ok"}, own).verdict is Verdict.ESCAPED


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("forks", hog()),
        ("heap", hog(answer=None, end={"end": "memory", "reason": ""}, alive=False)),
        ("spin", hog(answer=None, end={"end": "cpu", "reason": ""}, alive=False)),
        ("flood", hog(answer=5)),
        ("stubborn", hog(answer="stays")),
    ],
)
def test_limits_that_were_met_held(name: str, seen: dict[str, Any]) -> None:
    assert judge_hog(name, seen) == Judged(Verdict.HELD)


@pytest.mark.parametrize(
    ("name", "seen", "detail"),
    [
        ("forks", hog(answer={"count": 2000, "error": "ok"}), "no limit was met at 2000"),
        ("forks", hog(answer={"count": 500, "error": "EAGAIN"}), "no limit was met at 500"),
        ("tmp", hog(answer={"count": 17, "error": "ENOSPC"}), "no limit was met at 17"),
        ("heap", hog(answer=None), "it neither answers nor ends"),
        ("names", hog(alive=False), "it answers no more and did not end"),
        ("spin", hog(answer=None), "it was not ended"),
        ("flood", hog(answer=5, lines=1_000_000), "1000000 log lines"),
        ("zombies", hog(left=["process 7"]), "process 7 is left"),
        (
            "heap",
            hog(end={"end": "memory"}, neighbour={"calls": 9, "failed": 2}),
            "a neighbour failed 2 of 9 calls",
        ),
        ("tmp", hog(neighbour={"calls": 0, "failed": 0}), "a neighbour failed 0 of 0 calls"),
    ],
)
def test_limits_that_were_not_met_escaped(name: str, seen: dict[str, Any], detail: str) -> None:
    assert judge_hog(name, seen) == Judged(Verdict.ESCAPED, f"{name}: {detail}")


def test_the_worst_of_a_row_counts() -> None:
    held, gone = Judged(Verdict.HELD), Judged(Verdict.ESCAPED, "a")
    unknown = Judged(Verdict.UNKNOWN, "b")
    assert worst([held, unknown, gone]) == gone
    assert worst([held, unknown]) == unknown
    assert worst([held, held]) == held
    assert worst([]).verdict is Verdict.NOT_APPLICABLE


def test_what_was_not_tried_is_unknown_and_a_report_holds_only_without() -> None:
    seen = Seen(dict(GOOD))
    tried = report(Tier.RUNC, "docker", seen, ["swap limit"])
    assert tried.rows[11].verdict is Verdict.HELD
    assert tried.rows[1].verdict is Verdict.UNKNOWN
    assert not tried.holds
    assert tried.to_json()["rows"][0] == {
        "row": 1,
        "verdict": "unknown",
        "detail": "forks: an answer that cannot be read; threads: an answer that cannot be read",
    }


def test_details_are_short_and_printable() -> None:
    judged = judge_look("search", ["/\x1b[2J" + "x" * 1000], Ground(Tier.RUNC))
    assert len(judged.detail) <= 201
    assert judged.detail.isprintable()

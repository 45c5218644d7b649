"""The list of system calls: closed by default, and the same for every runtime."""

import pytest

from sandbox.runtimes.seccomp import SeccompMissingError, compile_filter, load_profile

PROFILE = load_profile()
NEVER = [
    "_sysctl", "acct", "add_key", "adjtimex", "bpf", "chroot", "clock_adjtime",
    "clock_settime", "delete_module", "fanotify_init", "finit_module", "fsconfig",
    "fsmount", "fsopen", "fspick", "init_module", "ioperm", "iopl", "kcmp",
    "kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie", "modify_ldt", "mount",
    "mount_setattr", "move_mount", "move_pages", "name_to_handle_at", "nfsservctl",
    "open_by_handle_at", "open_tree", "perf_event_open", "pidfd_getfd", "pivot_root",
    "process_vm_readv", "process_vm_writev", "ptrace", "quotactl", "reboot", "request_key",
    "sched_setaffinity", "sched_setattr", "sched_setscheduler", "seccomp",
    "setdomainname", "sethostname", "setns", "settimeofday", "splice", "swapoff",
    "swapon", "syslog", "tee", "umount", "umount2", "unshare", "uselib", "vhangup",
    "vmsplice",
]  # fmt: skip


def rules_for(name: str) -> list[dict[str, object]]:
    return [rule for rule in PROFILE["syscalls"] if name in rule["names"]]


def test_what_is_not_listed_is_refused() -> None:
    assert (PROFILE["defaultAction"], PROFILE["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 1)


@pytest.mark.parametrize("name", NEVER)
def test_dangerous_calls_are_not_listed(name: str) -> None:
    assert rules_for(name) == []


@pytest.mark.parametrize("name", ["clone", "socket", "socketpair", "personality"])
def test_calls_with_dangerous_uses_are_allowed_only_with_conditions(name: str) -> None:
    assert rules_for(name)
    assert all(rule["args"] for rule in rules_for(name))


def test_every_call_has_one_rule_unless_it_has_conditions() -> None:
    """A rule without conditions would silently win over one with."""
    plain = [name for rule in PROFILE["syscalls"] if "args" not in rule for name in rule["names"]]
    assert len(plain) == len(set(plain))
    conditional = {name for rule in PROFILE["syscalls"] if "args" in rule for name in rule["names"]}
    assert conditional.isdisjoint(plain)


def test_no_rule_tests_one_argument_twice() -> None:
    """Engines take such conditions as alternatives, not together."""
    for rule in PROFILE["syscalls"]:
        indexes = [entry["index"] for entry in rule.get("args", ())]
        assert len(indexes) == len(set(indexes))


def test_only_64_bit_calls_exist() -> None:
    assert all(entry["subArchitectures"] == [] for entry in PROFILE["archMap"])


def test_it_compiles_to_whole_instructions() -> None:
    program = compile_filter(PROFILE)
    assert len(program) > 0
    assert len(program) % 8 == 0


def test_an_unknown_machine_is_reported() -> None:
    with pytest.raises(SeccompMissingError):
        compile_filter(PROFILE, "sparc")


def test_an_unknown_action_is_an_error() -> None:
    profile = PROFILE | {"syscalls": [{"names": ["read"], "action": "SCMP_ACT_LOG"}]}
    with pytest.raises(ValueError, match="SCMP_ACT_LOG"):
        compile_filter(profile)

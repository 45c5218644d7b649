"""Rows 11 to 24: ways into the kernel."""

from sandbox.probes.row import Group, Row

SURROUNDINGS = "tests/sandbox/runner/test_surroundings.py"
SECCOMP = "tests/sandbox/runtimes/test_seccomp.py"

ROWS = (
    Row(
        11,
        Group.KERNEL,
        "Mounting, unmounting, moving mounts",
        "refused by the system call filter",
        looks=("calls",),
    ),
    Row(
        12,
        Group.KERNEL,
        "Making a user namespace, and with it rights",
        "refused by the system call filter",
        looks=("calls",),
    ),
    Row(
        13,
        Group.KERNEL,
        "Keys of the kernel, which know no namespaces",
        "refused by the system call filter",
        looks=("calls", "host_facts"),
    ),
    Row(
        14,
        Group.KERNEL,
        "io_uring",
        "not there by the system call filter",
        looks=("calls",),
    ),
    Row(
        15,
        Group.KERNEL,
        "bpf, performance counters, page faults in user space",
        "refused by the system call filter",
        looks=("calls",),
    ),
    Row(
        16,
        Group.KERNEL,
        "Tracing or reading the supervisor",
        "the supervisor cannot be looked into; the calls are refused",
        looks=("calls", "supervisor"),
        tests=(f"{SURROUNDINGS}::test_user_code_cannot_look_into_its_supervisor",),
    ),
    Row(
        17,
        Group.KERNEL,
        "Kinds of sockets that few use, by every path",
        "only Unix and internet sockets pass the filter, only calls of 64 bits",
        looks=("families", "compat"),
    ),
    Row(
        18,
        Group.KERNEL,
        "Writing into pages of read-only files by splicing",
        "refused by the system call filter",
        looks=("calls",),
        tests=(f"{SECCOMP}::test_dangerous_calls_are_not_listed",),
    ),
    Row(
        19,
        Group.KERNEL,
        "Another personality, segments, calls of 32 bits",
        "refused by the system call filter",
        looks=("calls", "compat"),
        tests=(f"{SECCOMP}::test_only_64_bit_calls_exist",),
    ),
    Row(
        20,
        Group.KERNEL,
        "Opening files by handle",
        "refused by the system call filter",
        looks=("calls",),
    ),
    Row(
        21,
        Group.KERNEL,
        "Programs with more rights than their user",
        "there are none, new privileges cannot be gained, capabilities are none",
        looks=("status", "files", "nodes"),
    ),
    Row(
        22,
        Group.KERNEL,
        "Making the kernel load a module by a name",
        "neither such sockets nor mounts can be asked for",
        looks=("families", "calls"),
    ),
    Row(
        23,
        Group.KERNEL,
        "Typing into the terminal of whoever started it",
        "there is no terminal",
        looks=("terminal",),
    ),
    Row(
        24,
        Group.KERNEL,
        "Setting the clock and the name of the host",
        "refused by the system call filter",
        looks=("calls",),
    ),
)

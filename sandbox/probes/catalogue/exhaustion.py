"""Rows 1 to 10: using everything up."""

from sandbox.probes.row import Group, Row

JOURNEY_HOGS = "tests/journeys/test_hogs.py"
RUNNER = "tests/sandbox/runner/test_runner.py"
ENDINGS = "tests/sandbox/test_manager_endings.py"
WALLS = "tests/hostile/test_walls.py"
LEASES = "tests/gateway/proxy/test_leases.py"
CONFORMANCE = "tests/conformance/test_runtime.py"
CLIENT = "tests/gateway/cli/client/test_apis.py"
CRASHES = "tests/sandbox/test_crashes.py"
CHURN = "tests/hostile/test_churn.py"
FAIRNESS = "tests/sandbox/test_fairness.py"

ROWS = (
    Row(
        1,
        Group.EXHAUSTION,
        "Processes and threads without end",
        "a limit on processes, which counts threads",
        hogs=("forks", "threads"),
        tests=(f"{JOURNEY_HOGS}::test_all_memory_is_the_offenders_own_trouble",),
    ),
    Row(
        2,
        Group.EXHAUSTION,
        "Memory in every form: objects, page tables, files in memory, pipes, buffers, shared",
        "one limit on memory without swap, on open files and on shared memory",
        hogs=("heap", "mapping", "memory_files", "pipes", "sockets", "shared"),
        tests=(f"{JOURNEY_HOGS}::test_all_memory_is_the_offenders_own_trouble",),
    ),
    Row(
        3,
        Group.EXHAUSTION,
        "The half that answers calls is killed, the other half lives",
        "the supervisor is the first process: when its child ends, it tells why and ends",
        hogs=("kill_app",),
        tests=(
            f"{RUNNER}::test_a_crash_in_service_is_reported",
            f"{ENDINGS}::test_one_that_answers_nothing_any_more_is_ended",
        ),
    ),
    Row(
        4,
        Group.EXHAUSTION,
        "Filling what can be written: bytes, names, holes, depth",
        "two small file systems of its own; nothing else can be written",
        looks=("writes",),
        hogs=("tmp", "shared", "names", "sparse", "deep"),
        tests=(f"{WALLS}::test_the_number_of_files_in_tmp_is_limited",),
    ),
    Row(
        5,
        Group.EXHAUSTION,
        "Spinning: in a thread, on the event loop, at import, deaf to being asked to leave",
        "a budget of processor time and a deadline for each call, kept by the supervisor",
        hogs=("spin", "spin-loop", "stubborn"),
        tests=(
            f"{JOURNEY_HOGS}::test_a_spin_is_ended_for_its_cpu_time_and_others_get_a_fresh_sandbox",
            f"{RUNNER}::test_an_endless_loop_at_import_names_its_line",
        ),
    ),
    Row(
        6,
        Group.EXHAUSTION,
        "Open files and watchers without end, inside and towards the gateway",
        "a limit on open files; connections to a sandbox are bounded",
        hogs=("descriptors", "watchers"),
        tests=(f"{LEASES}::test_connections_to_one_sandbox_are_bounded_and_queued",),
    ),
    Row(
        7,
        Group.EXHAUSTION,
        "Zombies and daemons that outlive the call and the sandbox",
        "the supervisor reaps; the end of the first process is the end of all",
        hogs=("zombies", "stubborn"),
        tests=(f"{CONFORMANCE}::test_destroy_leaves_nothing",),
    ),
    Row(
        8,
        Group.EXHAUSTION,
        "Output without end, without line ends, no text, forged lines",
        "lines are cut, counted and marked; they are data and never ours",
        hogs=("flood", "endless_line"),
        tests=(
            f"{RUNNER}::test_a_flood_of_lines_is_bounded_and_marked",
            f"{CLIENT}::test_logs_are_printed_without_the_terminal_codes_in_them",
        ),
    ),
    Row(
        9,
        Group.EXHAUSTION,
        "Running out of memory again and again",
        "each crash makes the next start wait longer; a new version is taken back",
        tests=(
            f"{JOURNEY_HOGS}::test_a_new_version_that_keeps_crashing_is_rolled_back_by_itself",
            f"{CRASHES}::test_the_back_off_doubles_to_a_minute",
        ),
    ),
    Row(
        10,
        Group.EXHAUSTION,
        "Starting and stopping until something of the host runs out",
        "no network, address or device is made for a sandbox; removal is complete",
        tests=(
            f"{CHURN}::test_coming_and_going_leaves_nothing",
            f"{FAIRNESS}::test_a_tenant_may_not_queue_without_end",
        ),
    ),
)

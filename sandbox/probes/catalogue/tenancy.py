"""Rows 52 to 57: one another."""

from sandbox.probes.row import Group, Row

SECRETS = "tests/journeys/test_secrets.py"
SURROUNDINGS = "tests/sandbox/runner/test_surroundings.py"
MANAGER = "tests/sandbox/test_manager.py"
BUILDING = "tests/sandbox/layers/test_building.py"
SHARING = "tests/sandbox/test_manager_sharing.py"
FAIRNESS = "tests/sandbox/test_fairness.py"

ROWS = (
    Row(
        52,
        Group.TENANCY,
        "Another's variables, files, sockets, memory, processes",
        "every sandbox has its own user, files, processes and memory",
        looks=("search", "processes", "descriptors", "neighbour"),
    ),
    Row(
        53,
        Group.TENANCY,
        "Secrets where somebody else can read them",
        "they come once over the control socket into one process; they are taken out of logs",
        looks=("variables", "search"),
        tests=(
            f"{SECRETS}::test_no_process_inside_shows_it",
            f"{SECRETS}::test_nothing_outside_shows_it",
            f"{SECRETS}::test_the_log_has_it_taken_out",
            f"{SURROUNDINGS}::test_variables_are_in_os_environ_and_in_no_environ_file",
        ),
    ),
    Row(
        54,
        Group.TENANCY,
        "What an earlier user left behind",
        "a sandbox is used once",
        looks=("leftovers",),
        tests=(f"{MANAGER}::test_a_warm_blank_is_used_and_replaced",),
    ),
    Row(
        55,
        Group.TENANCY,
        "The same random values in two sandboxes",
        "each starts as a process of its own; nothing is cloned",
        looks=("chance",),
    ),
    Row(
        56,
        Group.TENANCY,
        "A cache that all share, written by one",
        "layers are made apart, named by content and read-only",
        looks=("writes",),
        tests=(
            f"{BUILDING}::test_a_package_and_what_it_needs_become_a_read_only_layer",
            f"{BUILDING}::test_a_wheel_with_another_content_than_locked_is_refused",
        ),
    ),
    Row(
        57,
        Group.TENANCY,
        "More than its share by many APIs",
        "starts, sandboxes and calls are counted by tenant",
        tests=(
            f"{SHARING}::test_many_apis_of_one_tenant_share_its_quota",
            f"{FAIRNESS}::test_a_burst_of_one_tenant_leaves_slots_for_others",
        ),
    ),
)

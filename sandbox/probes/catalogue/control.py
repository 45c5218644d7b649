"""Rows 63 to 67: what controls it all."""

from sandbox.probes.row import Group, Row

RECONCILE = "tests/sandbox/test_manager_reconcile.py"
SLUGS = "tests/gateway/operations/test_slugs.py"
RUNNER = "tests/sandbox/runner/test_runner.py"
HEADERS = "tests/gateway/proxy/test_headers_through.py"
MANAGER = "tests/sandbox/test_manager.py"
LIFE = "tests/journeys/test_life.py"
GATEWAY_SECRETS = "tests/gateway/test_secrets.py"
KEYS = "tests/gateway/auth/test_keys.py"
KILLS = "tests/campaigns/test_kills.py"
COLD = "tests/campaigns/test_cold_start_kills.py"
PROCESS = "tests/sandbox/test_server_process.py"

ROWS = (
    Row(
        63,
        Group.CONTROL,
        "Labels or names that catch another's calls",
        "labels are made by the manager from random ids; slugs that mean something are reserved",
        tests=(
            f"{RECONCILE}::test_what_belongs_to_another_installation_is_left_alone",
            f"{SLUGS}::test_name_that_is_an_id_does_not_become_one",
            f"{SLUGS}::test_name_without_latin_letters_is_not_a_reserved_slug",
        ),
    ),
    Row(
        64,
        Group.CONTROL,
        "Reaching what the runner says and hears through the public proxy",
        "there is no such route: control goes over a socket of its own",
        tests=(
            f"{RUNNER}::test_the_probe_never_reaches_the_app",
            f"{HEADERS}::test_hop_by_hop_and_private_headers_end_here",
        ),
    ),
    Row(
        65,
        Group.CONTROL,
        "Handing the code of one to another, or twice",
        "a blank takes code once, from the manager that accepted it",
        tests=(
            f"{RUNNER}::test_a_second_specialise_is_ignored",
            f"{MANAGER}::test_control_socket_is_gone_once_the_runner_has_dialled",
        ),
    ),
    Row(
        66,
        Group.CONTROL,
        "An empty secret that means no check",
        "an empty secret is an error",
        tests=(
            f"{LIFE}::test_empty_admin_key_is_an_error_not_off",
            f"{GATEWAY_SECRETS}::test_an_empty_secret_is_refused",
            f"{KEYS}::test_an_empty_secret_is_an_error",
        ),
    ),
    Row(
        67,
        Group.CONTROL,
        "An end in the middle of anything: engine, gateway, manager, machine, full disk",
        "the engine is the truth: what lives is taken over, what is left over goes",
        tests=(
            f"{KILLS}::test_each_process_killed_under_load",
            f"{COLD}::test_every_step_on_bubblewrap",
            f"{COLD}::test_every_step_on_an_engine_that_is_killed_too",
            f"{PROCESS}::test_after_kill_9_the_next_one_removes_what_was_left",
        ),
    ),
)

"""Rows 58 to 62: on the way in."""

from sandbox.probes.row import Group, Row

INPUTS = "tests/gateway/operations/test_inputs.py"
SCRIPT = "tests/sandbox/layers/test_script.py"
BAD = "tests/journeys/test_bad_code.py"
ONE = "tests/journeys/test_one_file.py"
ARCHITECTURE = "tests/test_architecture.py"
BUILDING = "tests/sandbox/layers/test_building.py"
SURROUNDINGS = "tests/sandbox/runner/test_surroundings.py"
DISCONNECT = "tests/gateway/control/test_disconnect.py"
CREATE = "tests/gateway/operations/test_create_api.py"
MANAGER = "tests/sandbox/test_manager.py"
TURNS = "tests/gateway/operations/test_turns.py"

ROWS = (
    Row(
        58,
        Group.DEPLOY,
        "Code that runs while it is only looked at",
        "outside a sandbox code is text that is never run",
        tests=(
            f"{INPUTS}::test_code_that_is_no_text_file_is_422",
            f"{SCRIPT}::test_the_file_is_never_run",
            f"{BAD}::test_code_that_does_not_start_is_422",
        ),
    ),
    Row(
        59,
        Group.DEPLOY,
        "Importing it in the gateway to read its interface",
        "its own documentation is answered by itself, inside",
        tests=(
            f"{ONE}::test_own_documentation_works_below_its_root",
            f"{ARCHITECTURE}::test_runner_imports_nothing_of_ours",
        ),
    ),
    Row(
        60,
        Group.DEPLOY,
        "Dependencies by link, path, index, option; ten thousand; look-alikes; hooks; escapes",
        "names and versions only, locked by hash, wheels only, built apart, checked file by file",
        tests=(
            f"{SCRIPT}::test_anything_but_names_and_versions_is_refused_with_its_line",
            f"{SCRIPT}::test_ten_thousand_dependencies_are_too_many",
            f"{BUILDING}::test_a_source_distribution_is_never_built",
            f"{BUILDING}::test_a_hostile_wheel_makes_no_layer",
            f"{BUILDING}::test_a_path_that_leaves_the_layer_leads_nowhere",
        ),
    ),
    Row(
        61,
        Group.DEPLOY,
        "A package in the place of the runner",
        "layers come last on the path, after the runner has imported everything",
        tests=(
            f"{SURROUNDINGS}::test_the_layer_is_the_last_place_to_import_from",
            f"{BUILDING}::test_a_version_that_conflicts_with_the_runner_is_explained",
        ),
    ),
    Row(
        62,
        Group.DEPLOY,
        "A storm of deployments, leaving midway, deleting what starts, two at once",
        "one start for all who ask; leaving leaves nothing; changes of an API take turns",
        tests=(
            f"{DISCONNECT}::test_leaving_during_the_start_leaves_neither_sandbox_nor_row",
            f"{CREATE}::test_same_name_at_once_is_created_once",
            f"{MANAGER}::test_stop_api_ends_ready_and_starting_sandboxes_of_that_api_only",
            f"{TURNS}::test_one_after_the_other_for_one_api",
        ),
    ),
)

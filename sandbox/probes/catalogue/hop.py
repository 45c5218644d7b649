"""Rows 43 to 51: requests in, answers out."""

from sandbox.probes.row import Group, Row

HOSTILE = "tests/gateway/proxy/test_hostile_answers.py"
LEASES = "tests/gateway/proxy/test_leases.py"
HEAD = "tests/gateway/proxy/test_head.py"
ENDS = "tests/gateway/proxy/test_ends.py"
HEADERS = "tests/gateway/proxy/test_headers_through.py"
WEBSOCKET = "tests/gateway/proxy/test_websocket.py"
BODIES = "tests/gateway/proxy/test_bodies.py"
WHO = "tests/gateway/control/test_who.py"
REFERENCE = "tests/gateway/proxy/test_reference.py"

ROWS = (
    Row(
        43,
        Group.HOP,
        "Answers glued together, sent unasked, after there should be none",
        "a connection belongs to one sandbox and dies with any byte that was not asked for",
        tests=(
            f"{HOSTILE}::test_an_answer_nobody_asked_for_reaches_nobody",
            f"{HOSTILE}::test_a_body_after_the_answer_to_head_reaches_nobody",
            f"{LEASES}::test_two_apis_never_share_a_connection",
        ),
    ),
    Row(
        44,
        Group.HOP,
        "Heads that are too large, without end or malformed",
        "strict reading with bounds; anything else is 502",
        tests=(
            f"{HOSTILE}::test_a_malformed_answer_is_502_and_the_connection_dies",
            f"{HEAD}::test_any_bytes_are_read_or_refused",
            f"{ENDS}::test_a_head_that_never_ends_is_504",
        ),
    ),
    Row(
        45,
        Group.HOP,
        "Trailers with forbidden headers, headers named in Connection",
        "neither passes",
        tests=(
            f"{HEADERS}::test_headers_named_in_connection_end_here",
            f"{HOSTILE}::test_a_malformed_answer_is_502_and_the_connection_dies",
        ),
    ),
    Row(
        46,
        Group.HOP,
        "Headers in the name of the gateway or for whoever stands before it",
        "what the gateway says itself, and what is for one hop, ends at the gateway",
        tests=(
            f"{HEADERS}::test_a_sandbox_cannot_speak_for_the_gateway",
            f"{HEADERS}::test_hop_by_hop_and_private_headers_end_here",
            f"{HEADERS}::test_orders_to_browsers_and_to_servers_in_front_end_here",
        ),
    ),
    Row(
        47,
        Group.HOP,
        "Pages on an origin that all share",
        "a page gets an origin of its own, a cookie holds for its API's paths alone; the gateway "
        "keeps nothing in a browser",
        tests=(
            f"{HEADERS}::test_a_page_gets_an_origin_of_its_own",
            f"{HEADERS}::test_repeated_headers_of_an_answer_stay_repeated",
            f"{WHO}::test_401_nobody",
        ),
    ),
    Row(
        48,
        Group.HOP,
        "Upgrades that pass by the check of the key",
        "key and limits come first; what was not asked for, or not agreed on, is no upgrade",
        tests=(
            f"{WEBSOCKET}::test_who_has_no_key_opens_nothing",
            f"{WEBSOCKET}::test_a_wrong_agreement_is_502",
        ),
    ),
    Row(
        49,
        Group.HOP,
        "Streams without end, answers after the caller left, early answers",
        "one deadline; leaving ends the call inside",
        tests=(
            f"{ENDS}::test_an_answer_without_end_is_broken_off",
            f"{ENDS}::test_a_caller_who_leaves_ends_the_call_in_the_sandbox",
            f"{BODIES}::test_an_early_answer_is_passed_on_while_the_upload_goes_on",
            f"{HOSTILE}::test_framing_without_content_is_cut_off",
        ),
    ),
    Row(
        50,
        Group.HOP,
        "Paths that two programs read differently",
        "bytes of the path are passed on as they came, nothing is decoded twice",
        tests=(
            f"{HEADERS}::test_path_and_query_arrive_byte_for_byte",
            f"{REFERENCE}::test_everything_else_means_no_api",
        ),
    ),
    Row(
        51,
        Group.HOP,
        "Bodies that grow when they are opened",
        "bounded, streamed and never opened by the gateway",
        tests=(
            f"{BODIES}::test_an_untold_length_over_the_cap_is_413_midway",
            f"{HOSTILE}::test_a_compressed_answer_is_passed_on_unopened",
        ),
    ),
)

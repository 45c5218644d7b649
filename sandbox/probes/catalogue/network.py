"""Rows 34 to 42: the network."""

from sandbox.probes.row import Group, Row

ADDRESSES = "tests/sandbox/egress/test_door_addresses.py"
TLS = "tests/sandbox/egress/test_door_tls.py"
HTTP = "tests/sandbox/egress/test_door_http.py"
LIMITS = "tests/sandbox/egress/test_door_limits.py"
JOURNEY = "tests/journeys/test_egress.py"

ROWS = (
    Row(
        34,
        Group.NETWORK,
        "Addresses that tell machines their secrets",
        "no network but the door, which refuses every special range",
        looks=("network",),
        tests=(
            f"{ADDRESSES}::test_row_34_metadata_by_address_and_by_name",
            f"{ADDRESSES}::test_row_34_metadata_in_ipv6",
            f"{ADDRESSES}::test_row_34_metadata_by_its_well_known_name",
        ),
    ),
    Row(
        35,
        Group.NETWORK,
        "The host itself, in every spelling of its addresses",
        "no network; the door reads every spelling as the address it is",
        looks=("network",),
        tests=(
            f"{ADDRESSES}::test_row_35_spellings_of_loopback",
            f"{ADDRESSES}::test_row_35_names_of_a_local_network",
        ),
    ),
    Row(
        36,
        Group.NETWORK,
        "Names that change their address between check and use",
        "the address that was checked is the one that is dialled",
        tests=(
            f"{ADDRESSES}::test_row_36_rebinding_is_looked_at_each_time_and_pinned",
            f"{ADDRESSES}::test_row_36_one_bad_answer_refuses_all",
            f"{JOURNEY}::test_a_name_that_changes_its_address_never_leads_inside",
        ),
    ),
    Row(
        37,
        Group.NETWORK,
        "A redirect from an allowed host to a private one",
        "each connection is checked by itself",
        tests=(
            f"{ADDRESSES}::test_row_37_a_redirect_comes_back_and_is_checked_when_followed",
            f"{JOURNEY}::test_a_redirect_to_the_metadata_address_is_refused",
        ),
    ),
    Row(
        38,
        Group.NETWORK,
        "Questions about names as a way out",
        "nothing is resolved inside; the door asks about listed names only",
        looks=("network",),
        tests=(f"{ADDRESSES}::test_row_38_names_that_are_not_listed_are_never_asked_about",),
    ),
    Row(
        39,
        Group.NETWORK,
        "An allowed service as a letter box",
        "hosts are allowed one by one by the owner, connections and bytes are counted and logged",
        tests=(
            f"{LIMITS}::test_bytes_of_a_connection",
            f"{LIMITS}::test_each_connection_is_logged_with_its_bytes",
        ),
    ),
    Row(
        40,
        Group.NETWORK,
        "One name here, another there; other protocols and ports",
        "the name of the request, of TLS and of the certificate agree; only TCP to listed ports",
        looks=("network",),
        tests=(
            f"{TLS}::test_row_40_anything_else_ends_before_a_byte_goes_out",
            f"{TLS}::test_row_40_other_ports_are_not_open",
            f"{HTTP}::test_what_two_programs_could_read_differently_is_refused",
        ),
    ),
    Row(
        41,
        Group.NETWORK,
        "Neighbours by address and by name",
        "no interface but loopback, which is its own",
        looks=("network",),
        tests=(f"{ADDRESSES}::test_rows_41_and_42_this_machine_by_each_of_its_addresses",),
    ),
    Row(
        42,
        Group.NETWORK,
        "Calling the gateway from inside",
        "the door does not lead to this machine, whatever its address",
        tests=(
            f"{ADDRESSES}::test_rows_41_and_42_this_machine_by_each_of_its_addresses",
            f"{ADDRESSES}::test_row_42_this_machines_public_address",
        ),
    ),
)

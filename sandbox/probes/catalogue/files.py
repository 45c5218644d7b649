"""Rows 25 to 33: files of the host and the sockets shared with it."""

from sandbox.probes.row import Group, Row

BUILDING = "tests/sandbox/layers/test_building.py"
LIARS = "tests/sandbox/layers/test_liars.py"
ROOT = "tests/sandbox/runtimes/test_root.py"

ROWS = (
    Row(
        25,
        Group.FILES,
        "Something else in the place of its own socket",
        "the listener is bound by the host and handed in; the folder cannot be written",
        looks=("control",),
    ),
    Row(
        26,
        Group.FILES,
        "Exchanging it between a check and its use",
        "nothing of a sandbox is opened by its name",
        looks=("control", "writes"),
    ),
    Row(
        27,
        Group.FILES,
        "Renaming, linking, emptying, filling the shared folder",
        "it is mounted read-only",
        looks=("control",),
    ),
    Row(
        28,
        Group.FILES,
        "Links in the place of files that the host opens later",
        "the host opens no file that a sandbox can write; layers are checked as they come",
        looks=("writes",),
        tests=(
            f"{BUILDING}::test_a_link_in_a_wheel_does_not_become_one",
            f"{LIARS}::test_a_file_that_may_not_be_makes_no_layer",
        ),
    ),
    Row(
        29,
        Group.FILES,
        "Device nodes and programs with more rights in images or archives",
        "images and layers hold plain files only; no node can be made or used",
        looks=("nodes", "files"),
        tests=(
            f"{LIARS}::test_a_file_that_may_not_be_makes_no_layer",
            f"{ROOT}::test_every_entry_is_readable_by_all_and_writable_by_none",
        ),
    ),
    Row(
        30,
        Group.FILES,
        "Files of the kernel: core pattern, requests, memory, symbols, release agents",
        "masked, read-only or not there; never as root",
        looks=("kernel_files", "host_facts", "supervisor"),
    ),
    Row(
        31,
        Group.FILES,
        "Something else in the place of devices before another program starts",
        "nothing is ever started in a running sandbox from outside; /dev cannot be changed",
        looks=("nodes",),
    ),
    Row(
        32,
        Group.FILES,
        "Reading what the host is called and where its files are",
        "no name, no address; mounts show the own control folder and the storage of the engine",
        looks=("host_facts",),
    ),
    Row(
        33,
        Group.FILES,
        "Sockets of the engine, with a name or without",
        "there is none but those of the own control folder",
        looks=("engine_sockets", "files"),
    ),
)

"""What is asked of the engine, compared whole: a flag that is lost shows here."""

from dataclasses import replace
from pathlib import Path

from sandbox.runtimes.base import Launch
from sandbox.runtimes.docker_spec import EngineFacts, container_fields, update_fields
from sandbox.types import Resources

LAUNCH = Launch(
    sandbox_id="s1",
    control_dir=Path("/run/ctl/s1"),
    resources=Resources(memory_mb=100, cpus=0.5, pids=50, tmp_mb=10),
    labels={"sandgate.installation": "here", "colour": "blue"},
)
MB = 1024 * 1024
RUNNER_ROOT = Path("/data/root")
MODERN = EngineFacts(cgroup_version=2, remaps_users=False)


def test_what_code_waits_for_does_not_practise() -> None:
    launch = replace(LAUNCH, is_awaited=True)
    fields = container_fields(
        launch, image="img:1", root=RUNNER_ROOT, uid=70000, profile="{}", facts=MODERN
    )
    assert fields["command"] == ["--practise", "no"]


def test_the_whole_request_on_a_modern_engine() -> None:
    assert container_fields(
        LAUNCH, image="img:1", root=RUNNER_ROOT, uid=70000, profile='{"a":1}', facts=MODERN
    ) == {
        "image": "img:1",
        "name": "sandgate-s1",
        "command": [],
        "entrypoint": [
            "/python/bin/python3", "-I", "-m", "runner", "--control", "/ctl/control.sock",
        ],
        "environment": {
            "HOME": "/tmp",
            "LANG": "C.UTF-8",
            "LOGNAME": "sandbox",
            "MALLOC_ARENA_MAX": "2",
            "PATH": "/python/bin",
            "USER": "sandbox",
        },
        "hostname": "sandbox",
        "user": "70000:70000",
        "working_dir": "/",
        "labels": {
            "sandgate.installation": "here",
            "colour": "blue",
            "sandgate.sandbox": "s1",
            "sandgate.runtime": "docker",
        },
        "stdin_open": False,
        "tty": False,
        "network_disabled": True,
        "stop_signal": "SIGTERM",
        "host_config": {
            "Privileged": False,
            "NetworkMode": "none",
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true", 'seccomp={"a":1}'],
            "IpcMode": "private",
            "CgroupnsMode": "private",
            "Memory": 100 * MB,
            "MemorySwap": 100 * MB,
            "PidsLimit": 50,
            "NanoCpus": 500_000_000,
            "OomScoreAdj": 500,
            "Ulimits": [
                {"Name": "core", "Soft": 0, "Hard": 0},
                {"Name": "fsize", "Soft": 10 * MB, "Hard": 10 * MB},
                {"Name": "nofile", "Soft": 4096, "Hard": 4096},
                {"Name": "nproc", "Soft": 50, "Hard": 50},
            ],
            "Tmpfs": {
                "/tmp": f"rw,noexec,nosuid,nodev,size={10 * MB},nr_inodes=16384,"
                "mode=0700,uid=70000,gid=70000"
            },
            "ShmSize": 8 * MB,
            "Mounts": [
                {
                    "Type": "bind",
                    "Source": "/run/ctl/s1",
                    "Target": "/ctl",
                    "ReadOnly": True,
                    "BindOptions": {"Propagation": "rprivate"},
                },
                {
                    "Type": "bind",
                    "Source": "/data/root/etc/hosts",
                    "Target": "/etc/hosts",
                    "ReadOnly": True,
                    "BindOptions": {"Propagation": "rprivate"},
                },
            ],
            "Init": False,
            "LogConfig": {"Type": "none", "Config": {}},
            "AutoRemove": True,
            "RestartPolicy": {"Name": "no"},
        },
    }  # fmt: skip


def test_swappiness_is_set_only_where_the_old_groups_have_it() -> None:
    old = EngineFacts(cgroup_version=1, remaps_users=False)
    fields = container_fields(LAUNCH, image="i", root=RUNNER_ROOT, uid=1, profile="", facts=old)
    assert fields["host_config"]["MemorySwappiness"] == 0


def test_no_process_count_per_user_when_the_engine_shares_one_user() -> None:
    shared = EngineFacts(cgroup_version=2, remaps_users=True)
    fields = container_fields(LAUNCH, image="i", root=RUNNER_ROOT, uid=1, profile="", facts=shared)
    assert "nproc" not in {limit["Name"] for limit in fields["host_config"]["Ulimits"]}


def test_labels_of_a_launch_cannot_hide_whose_container_it_is() -> None:
    launch = Launch("s1", Path("/c"), Resources(), {"sandgate.sandbox": "other"})
    fields = container_fields(launch, image="i", root=RUNNER_ROOT, uid=1, profile="", facts=MODERN)
    assert fields["labels"]["sandgate.sandbox"] == "s1"


def test_installed_packages_are_mounted_read_only() -> None:
    launch = Launch("s1", Path("/c"), Resources(), {}, layer=Path("/data/layers/abc"))
    fields = container_fields(launch, image="i", root=RUNNER_ROOT, uid=1, profile="", facts=MODERN)
    assert fields["host_config"]["Mounts"][-1] == {
        "Type": "bind",
        "Source": "/data/layers/abc",
        "Target": "/layer",
        "ReadOnly": True,
        "BindOptions": {"Propagation": "rprivate"},
    }


def test_gvisor_is_asked_for_by_name_and_without_the_filter_it_would_not_use() -> None:
    facts = EngineFacts(
        cgroup_version=1, remaps_users=False, runtime="runsc", filters_calls=False, name="gvisor"
    )
    fields = container_fields(LAUNCH, image="i", root=RUNNER_ROOT, uid=1, profile="{}", facts=facts)
    assert fields["host_config"]["Runtime"] == "runsc"
    assert fields["host_config"]["SecurityOpt"] == ["no-new-privileges:true"]
    assert fields["labels"]["sandgate.runtime"] == "gvisor"


def test_new_limits_are_spelled_as_the_engine_wants_them() -> None:
    assert update_fields(Resources(memory_mb=100, cpus=0.5, pids=50)) == {
        "Memory": 100 * MB,
        "MemorySwap": 100 * MB,
        "PidsLimit": 50,
        "NanoCpus": 500_000_000,
    }

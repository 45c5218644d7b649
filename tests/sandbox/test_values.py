"""Small parts: paths, settings, log book, verdicts, state files."""

import os
import stat
import time
from pathlib import Path

import pytest

from sandbox import reconcile, settings, verdicts
from sandbox.history import History
from sandbox.logbook import Logbook, SandboxLog
from sandbox.paths import RunPaths, UnsafeDirectoryError, make_private, runtime_dir
from sandbox.reconcile import State
from sandbox.runtimes.base import Found
from sandbox.types import EndReason, SandboxStatus, StartFailure, Tier
from tests.support.managing import short_directory, spec

REQUIRED = ["--data-dir", "/d", "--run-dir", "/r", "--installation", "one"]


def test_runtime_directory_is_run_in_the_data_directory_and_private() -> None:
    with short_directory() as directory:
        run = runtime_dir(directory)
        assert run == directory / "run"
        assert stat.S_IMODE(run.stat().st_mode) == 0o700


def test_a_long_data_directory_gets_a_short_runtime_directory_of_its_own(tmp_path: Path) -> None:
    first, second = tmp_path / ("a" * 80), tmp_path / ("b" * 80)
    runs = [runtime_dir(first), runtime_dir(second), runtime_dir(first)]
    try:
        assert runs[0] == runs[2] != runs[1]
        assert all(len(os.fsencode(run)) <= 60 for run in runs)
    finally:
        for run in set(runs):
            run.rmdir()


def test_longest_socket_path_fits_the_kernels_limit() -> None:
    paths = RunPaths(Path("/" + "x" * 59))
    assert len(os.fsencode(paths.control_socket("0" * 16))) <= 107


def test_a_link_in_place_of_a_private_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to("elsewhere")
    with pytest.raises(UnsafeDirectoryError):
        make_private(tmp_path / "run")


def test_an_open_private_directory_is_closed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    make_private(tmp_path / "run")
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700


def test_settings_come_from_the_command_line() -> None:
    given = settings.parse([*REQUIRED, "--runtime", "fake", "--blanks", "0", "--max", "7"])
    assert (given.runtime, given.policy.blanks, given.policy.maximum) == ("fake", 0, 7)


def test_every_setting_of_a_sandbox_comes_from_the_command_line() -> None:
    given = settings.parse(
        [
            *REQUIRED,
            *("--client-uid", "1", "--client-uid", "2", "--tier-floor", "gvisor"),
            *("--lease-seconds", "5", "--tenant-max", "7", "--life-seconds", "100"),
            *("--call-cpu-seconds", "3", "--index-url", "https://i.example/simple"),
            *("--cooldown-days", "1", "--package-allow", "a, b c", "--package-deny", ""),
        ]
    )
    assert (given.client_uids, given.tier_floor) == ((1, 2), Tier.GVISOR)
    assert (given.policy.lease_seconds, given.policy.tenant_max) == (5, 7)
    assert (given.life_seconds, given.call_cpu_seconds) == (100, 3)
    packages = settings.Packages("https://i.example/simple", 1, ("a", "b", "c"), ())
    assert given.packages == packages
    assert settings.parse([*REQUIRED, "--tier-floor", "none"]).tier_floor is None


@pytest.mark.parametrize(
    "wrong",
    [
        ["--max", "0"],
        ["--tenant-max", "0"],
        ["--tier-floor", "paper"],
        ["--client-uid", "-1"],
        ["--lease-seconds", "0"],
        ["--blanks", "-1"],
        ["--idle-seconds", "0"],
        ["--start-seconds", "nan"],
        ["--installation", "a b"],
        ["--runtime", "lxc"],
    ],
)
def test_wrong_settings_end_the_process(wrong: list[str]) -> None:
    with pytest.raises(SystemExit):
        settings.parse([*REQUIRED, *wrong])


def test_terminal_escapes_do_not_survive_in_logs() -> None:
    log = SandboxLog()
    log.add(1.0, "stdout", "\x1b[2Jred\x9b\ttab")
    assert log.lines()[0].text == "\ufffd[2Jred\ufffd\ttab"


def test_only_the_last_ended_log_of_an_api_is_kept() -> None:
    book = Logbook()
    for name in ("one", "two"):
        log = SandboxLog()
        log.add(1.0, "stdout", name)
        book.begin("api", name, log)
        book.end("api", name)
    assert [line.text for line in book.tail("api", 10)] == ["two"]


def test_logs_of_ended_sandboxes_take_bounded_memory() -> None:
    book = Logbook()
    for number in range(200):
        log = SandboxLog()
        for _ in range(20):
            log.add(1.0, "stdout", "x" * 4096)
        book.begin(f"api-{number}", "one", log)
        book.end(f"api-{number}", "one")
    kept = [number for number in range(200) if book.tail(f"api-{number}", 1)]
    assert kept == list(range(kept[0], 200))
    assert len(kept) * 64 * 1024 <= 9 * 1024 * 1024


def test_endings_are_remembered_for_a_bounded_number_of_apis() -> None:
    history = History()
    for number in range(600):
        one = SandboxStatus("a", spec(api=f"api-{number}"), "ended", 1.0, end=EndReason.CPU)
        history.ended(one)
    assert history.of("api-0") == []
    assert len(history.of("api-599")) == 1
    assert history.pool().ends == {"cpu": 600}


def test_a_line_of_ours_may_have_a_stream_of_its_own_and_a_sandboxs_may_not() -> None:
    log = SandboxLog()
    log.note("egress", "ours")
    log.add(1.0, "egress", "theirs")
    assert [line.stream for line in log.lines()] == ["egress", "stderr"]


def test_a_failure_report_of_nonsense_is_still_a_failure() -> None:
    error = verdicts.start_failure({"kind": "x", "reason": 5, "line": "7", "file": None})
    assert (error.kind, error.line, error.file) == (StartFailure.EXITED, None, "app.py")
    assert error.reason


def test_a_log_line_from_the_future_gets_our_time() -> None:
    at, stream, text = verdicts.log_line({"at": 1e300, "stream": "x" * 100, "text": "\ud800"})
    assert abs(at - time.time()) < 60
    assert (len(stream), text) == (10, "?")


def test_state_files_are_read_back_and_broken_ones_ignored(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "run")
    paths.make()
    state = State("aa", spec(), 42, "boot", 5.0, Tier.RUNC, ("a.example",), lacks_secrets=True)
    reconcile.write_state(paths, state)
    paths.state("bb").write_text("[]")
    paths.state("cc").write_bytes(b"\xff")
    assert reconcile.read_states(paths) == [state]


def test_only_the_living_and_known_are_adopted() -> None:
    living, dead, unknown = (Found(name, {}, name != "dead") for name in ("ok", "dead", "who"))
    states = [State("ok", spec(), 1, "now"), State("dead", spec(), 2, "now")]
    plan = reconcile.plan([living, dead, unknown], states, "now")
    assert plan.adopt == ((living, states[0]),)
    assert plan.remove == (dead, unknown)


def test_what_was_written_before_the_machine_started_again_is_not_adopted() -> None:
    living = Found("ok", {}, alive=True)
    assert reconcile.plan([living], [State("ok", spec(), 1, "before")], "now").adopt == ()


def test_a_runner_may_name_its_end_but_not_that_we_stopped_it() -> None:
    assert verdicts.end_reason({"end": "cpu"}) is EndReason.CPU
    for invented in ("stopped", "idle", "evicted", "worn", "x", 5, None, ["cpu"]):
        assert verdicts.end_reason({"end": invented}) is None

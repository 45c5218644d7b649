"""The runner root: complete, small, without anything that helps an intruder."""

import os
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox.runtimes.base import RuntimeUnavailableError
from sandbox.runtimes.root import RUNNER_ARGV, RunnerRoot, build_root
from sandbox.runtimes.root_plan import RUNNER_SOURCE, plan_root
from tests.support.engines import require_bubblewrap
from tests.support.runtimes import runner_root

SYSTEM_PYTHON = Path("/usr/bin/python3")
IMPORT_ALL = """
import sys
import bz2, ctypes, decimal, lzma, multiprocessing, sqlite3, ssl, zlib, zoneinfo
import email_validator, fastapi, httptools, httpx, jinja2, orjson, pydantic
import python_multipart, runner, uvicorn, uvloop, websockets
print(sys.prefix, fastapi.__cached__.endswith(".pyc"))
"""


@pytest.fixture(scope="module")
def root() -> RunnerRoot:
    return runner_root()


def run_inside(root: RunnerRoot, code: str) -> str:
    """Output of code run by the root's interpreter, with nothing of the host in sight."""
    require_bubblewrap()
    command = ["bwrap", "--unshare-pid", "--unshare-net", "--clearenv", "--ro-bind"]
    command += [str(root.path), "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    return subprocess.run(
        [*command, *RUNNER_ARGV[:2], "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


@pytest.mark.bubblewrap
def test_everything_that_user_code_may_import_can_be_imported(root: RunnerRoot) -> None:
    assert run_inside(root, IMPORT_ALL) == "/python True\n"


@pytest.mark.bubblewrap
def test_compiled_wheels_find_the_libraries_they_take_for_granted(root: RunnerRoot) -> None:
    names = ["libstdc++.so.6", "libgcc_s.so.1", "libz.so.1", "libm.so.6", "librt.so.1"]
    code = f"import ctypes; print([bool(ctypes.CDLL(name)) for name in {names}])"
    assert run_inside(root, code) == f"{[True] * len(names)}\n"


@pytest.mark.bubblewrap
def test_time_zones_are_known(root: RunnerRoot) -> None:
    if not Path("/usr/share/zoneinfo").exists():
        pytest.skip("the host has none to copy")
    assert "UTC" in run_inside(root, "import zoneinfo; print(zoneinfo.ZoneInfo('Etc/UTC'))")


def test_every_entry_is_readable_by_all_and_writable_by_none(root: RunnerRoot) -> None:
    modes = {stat.S_IMODE(path.lstat().st_mode) for path in files(root)}
    assert modes == {0o444, 0o555}


def test_folders_can_be_entered_by_all(root: RunnerRoot) -> None:
    folders = {stat.S_IMODE(Path(folder).stat().st_mode) for folder, _, _ in os.walk(root.path)}
    assert folders == {0o755}


def test_nothing_of_the_standard_library_is_there_that_no_application_needs(
    root: RunnerRoot,
) -> None:
    parts = {part for path in files(root) for part in path.relative_to(root.path).parts}
    assert parts.isdisjoint({"test", "idlelib", "ensurepip", "tkinter", "pip", "sh", "bash"})


def test_byte_code_is_never_checked_against_sources(root: RunnerRoot) -> None:
    """Flags of a cache file: 1 for identified by content, 3 for that and checked, 0 by time."""
    caches = list((root.path / "runner" / "runner").rglob("*.pyc"))
    assert caches
    assert {path.read_bytes()[4] for path in caches} == {1}


def test_names_of_the_build_machine_stay_out_of_the_byte_code(root: RunnerRoot) -> None:
    caches = (root.path / "runner" / "runner").rglob("*.pyc")
    assert not any(str(root.path).encode() in path.read_bytes() for path in caches)


def test_a_second_build_finds_the_first(root: RunnerRoot) -> None:
    before = root.path.stat().st_ino
    assert build_root(root.path.parent.parent) == root
    assert root.path.stat().st_ino == before


def test_equal_inputs_have_equal_names_and_other_runner_sources_another(tmp_path: Path) -> None:
    assert plan_root().digest == plan_root().digest
    other = tmp_path / "runner"
    shutil.copytree(RUNNER_SOURCE, other)
    (other / "more.py").write_text("x = 1\n")
    assert plan_root(other).digest != plan_root().digest


def tiny_runner(folder: Path) -> Path:
    """Runner sources that need one small distribution, so that building is quick."""
    runner = folder / "sources"
    runner.mkdir(exist_ok=True)
    (runner / "requirements.in").write_text("h11\n")
    (runner / "__main__.py").write_text("print('here')\n")
    return runner


def test_two_builders_at_once_share_one_build(tmp_path: Path) -> None:
    runner = tiny_runner(tmp_path)
    with ThreadPoolExecutor(2) as threads:
        built = list(threads.map(lambda _: build_root(tmp_path, runner=runner), range(2)))
    assert built[0] == built[1]
    assert {entry.name for entry in (tmp_path / "runner").iterdir() if entry.is_dir()} == {
        built[0].digest
    }


def test_older_roots_and_half_built_ones_are_removed(tmp_path: Path) -> None:
    for name in ("0123456789abcdef", "fedcba9876543210.new"):
        (tmp_path / "runner" / name).mkdir(parents=True)
    root = build_root(tmp_path, runner=tiny_runner(tmp_path))
    left = {entry.name for entry in (tmp_path / "runner").iterdir() if entry.is_dir()}
    assert left == {root.digest}


def test_a_data_directory_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(RuntimeUnavailableError, match="cannot build the runner root"):
        build_root(tmp_path / "data", runner=tiny_runner(tmp_path))


def test_a_package_that_is_not_installed_is_told(tmp_path: Path) -> None:
    runner = tiny_runner(tmp_path)
    (runner / "requirements.in").write_text("no-such-thing\n")
    with pytest.raises(RuntimeUnavailableError, match="no-such-thing"):
        build_root(tmp_path, runner=runner)


@pytest.mark.bubblewrap
def test_the_systems_own_python_makes_a_root_as_well(tmp_path: Path) -> None:
    """Debian keeps its library elsewhere and looks for packages elsewhere."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    script = (
        "import sys; from pathlib import Path\n"
        "from sandbox.runtimes.root import build_root\n"
        f"assert '%d.%d' % sys.version_info[:2] == {version!r}\n"
        "print(build_root(Path(sys.argv[1])).digest)"
    )
    site = Path(sys.prefix) / "lib" / f"python{version}" / "site-packages"
    built = subprocess.run(
        [SYSTEM_PYTHON, "-c", script, tmp_path],
        env={"PYTHONPATH": f"{RUNNER_SOURCE.parents[1]}:{site}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    if "AssertionError" in built.stderr or not SYSTEM_PYTHON.exists():
        pytest.skip("the system's Python is another version")
    assert built.returncode == 0, built.stderr
    root = RunnerRoot(tmp_path / "runner" / built.stdout.strip(), built.stdout.strip())
    assert run_inside(root, IMPORT_ALL) == "/python True\n"


def files(root: RunnerRoot) -> list[Path]:
    return [
        Path(folder) / name
        for folder, _, names in os.walk(root.path)
        for name in names
        if not (Path(folder) / name).is_symlink()
    ]


def test_the_library_for_user_code_lies_beside_the_runner(tmp_path: Path) -> None:
    library = tmp_path / "sandgate_runtime"
    library.mkdir()
    (library / "__init__.py").write_text("")
    (library / "notes.txt").write_text("")
    plan = plan_root(library=library)
    assert plan.files["runner/sandgate_runtime/__init__.py"] == library / "__init__.py"
    assert "runner/sandgate_runtime/notes.txt" not in plan.files
    assert plan.digest != plan_root(library=tmp_path / "absent").digest


def test_a_library_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    plan = plan_root(library=tmp_path / "absent")
    assert not [name for name in plan.files if name.startswith("runner/sandgate_runtime/")]


def test_there_is_a_place_for_layers_and_the_certificates_everybody_trusts(
    root: RunnerRoot,
) -> None:
    assert (root.path / "layer").is_dir()
    assert (root.path / "runner/site-packages/certifi/cacert.pem").is_file()

"""Locks and layers made by the real builder code from an index on loopback."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.layers.layers import Layers
from sandbox.layers.settings import LayerSettings, Root, make_settings
from sandbox.types import DependencyError, Lock, ManagerUnavailableError
from tests.support.layer_builders import PlainBuilder
from tests.support.package_index import PackageIndex, package_index

pytestmark = [pytest.mark.bubblewrap]


@pytest.fixture
def index() -> Iterator[PackageIndex]:
    with package_index() as index:
        yield index


def layers(tmp_path: Path, settings: LayerSettings, builder: PlainBuilder | None = None) -> Layers:
    return Layers(tmp_path, settings, builder or PlainBuilder())


def settings(index: PackageIndex, **options: object) -> LayerSettings:
    return make_settings(index_url=index.url, **options)  # type: ignore[arg-type]


async def refusal(made: Layers, *requirements: str) -> str:
    with pytest.raises(DependencyError) as caught:
        await made.lock(requirements)
    return caught.value.reason


def imported(layer: Path, expression: str) -> str:
    """Value of an expression with the layer at the end of the import path."""
    code = f"import sys; sys.path.append({str(layer)!r}); {expression}"
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return done.stdout.strip()


async def test_a_package_and_what_it_needs_become_a_read_only_layer(
    tmp_path: Path, index: PackageIndex
) -> None:
    index.add("greeter", "1.0", requires=("helper>=1",))
    index.add("helper", "1.5")
    index.add("helper", "0.9")
    builder = PlainBuilder()
    made = layers(tmp_path, settings(index), builder)

    lock = await made.lock(["greeter"])

    assert lock.packages == ("greeter==1.0", "helper==1.5")
    assert index.url not in lock.text
    layer = await made.ensure(lock)
    assert layer.name == lock.digest
    assert imported(layer, "import greeter, helper; print(helper.version)") == "1.5"
    assert {path.stat().st_mode & 0o7777 for path in layer.rglob("*") if path.is_file()} == {0o444}
    assert {path.stat().st_mode & 0o7777 for path in layer.rglob("*") if path.is_dir()} == {0o555}
    assert list(layer.glob("greeter/__pycache__/*.pyc"))
    host = index.url.removeprefix("http://").removesuffix("/simple")
    assert builder.calls == [(host,), (host,)]  # one to resolve, one to install
    assert builder.running == 0


async def test_conflicting_pins_live_side_by_side(tmp_path: Path, index: PackageIndex) -> None:
    index.add("tool", "1.0")
    index.add("tool", "2.0")
    made = layers(tmp_path, settings(index))

    old, new = await asyncio.gather(made.lock(["tool<2"]), made.lock(["tool>=2"]))

    assert old.digest != new.digest
    paths = [await made.ensure(lock) for lock in (old, new)]
    assert [imported(path, "import tool; print(tool.version)") for path in paths] == ["1.0", "2.0"]


async def test_equal_requests_share_one_layer_built_once(
    tmp_path: Path, index: PackageIndex
) -> None:
    index.add("tool", "1.0")
    builder = PlainBuilder()
    made = layers(tmp_path, settings(index), builder)
    lock = await made.lock(["tool"])
    other = layers(tmp_path / "other", settings(index), builder)
    before = len(builder.calls)

    paths = await asyncio.gather(*(other.ensure(lock) for _ in range(5)))

    assert len(set(paths)) == 1
    assert len(builder.calls) == before + 1


async def test_what_sandboxes_have_is_not_installed_again(
    tmp_path: Path, index: PackageIndex
) -> None:
    # the index does not even have them: their versions are fixed by what is here
    index.add("plugin", "1.0", requires=("fastapi>=0.100", "pydantic"))
    made = layers(tmp_path, settings(index))
    assert (await made.lock(["plugin", "fastapi"])).packages == ("plugin==1.0",)
    assert await made.lock(["fastapi>=0.100", "pydantic"]) == Lock("", "", ())
    assert await made.lock([]) == Lock("", "", ())


async def test_a_version_that_conflicts_with_the_runner_is_explained(
    tmp_path: Path, index: PackageIndex
) -> None:
    index.add("oldie", "1.0", requires=("fastapi<0.50",))
    made = layers(tmp_path, settings(index))
    version = Root.installed().versions["fastapi"]
    assert await refusal(made, "fastapi<0.50") == (
        f"fastapi {version} is fixed by Sandgate; you asked for fastapi<0.50"
    )
    reason = await refusal(made, "oldie")
    assert "fastapi<0.50" in reason
    assert "Fixed by Sandgate: fastapi." in reason


async def test_a_source_distribution_is_never_built(tmp_path: Path, index: PackageIndex) -> None:
    marker = tmp_path / "built"
    setup = f"open({str(marker)!r}, 'w')\nfrom setuptools import setup\nsetup(name='evil')\n"
    index.add_file("evil", "evil-1.0.tar.gz", _sdist("evil-1.0", setup))
    reason = await refusal(layers(tmp_path, settings(index)), "evil")
    assert "wheel" in reason
    assert not marker.exists()


async def test_names_that_nobody_offers_are_told(tmp_path: Path, index: PackageIndex) -> None:
    reason = await refusal(layers(tmp_path, settings(index)), "reqeusts")
    assert "reqeusts was not found" in reason
    assert "--" not in reason


async def test_young_versions_are_not_used(tmp_path: Path, index: PackageIndex) -> None:
    young = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 86_400))
    index.add("tool", "1.0")
    index.add("tool", "2.0", uploaded=young)
    index.add("fresh", "1.0", uploaded=young)
    made = layers(tmp_path, settings(index))
    assert (await made.lock(["tool"])).packages == ("tool==1.0",)
    assert "younger than 7 days" in await refusal(made, "fresh")
    eager = layers(tmp_path, settings(index, cooldown_days=0))
    assert (await eager.lock(["tool"])).packages == ("tool==2.0",)


async def test_lists_apply_to_what_is_needed_as_well(tmp_path: Path, index: PackageIndex) -> None:
    index.add("greeter", "1.0", requires=("helper",))
    index.add("helper", "1.0")
    denied = layers(tmp_path, settings(index, deny=["Helper"]))
    assert "helper is not allowed" in await refusal(denied, "greeter")
    allowed = layers(tmp_path, settings(index, allow=["greeter"]))
    assert "helper is not on the list" in await refusal(allowed, "greeter")
    lock = await layers(tmp_path, settings(index, allow=["greeter", "helper"])).lock(["greeter"])
    with pytest.raises(DependencyError):  # a layer that is there does not go round a later rule
        await denied.ensure(lock)


HOSTILE = {
    "start-up": {"sitecustomize.py": b""},
    "user start-up": {"usercustomize/__init__.py": b""},
    "server": {"uvicorn/__init__.py": b""},
    "server as extension": {"uvicorn.cpython-311-x86_64-linux-gnu.so": b""},
    "server in capitals": {"Uvicorn/__init__.py": b""},
    "runner": {"runner/__init__.py": b""},
    "own library": {"sandgate_runtime.py": b""},
    "standard library": {"asyncio/__init__.py": b""},
    "zip bomb": {f"bomb/{n}.bin": bytes(64 * 1024 * 1024) for n in range(6)},
    "two spellings": {"evil/A.py": b"", "evil/a.py": b""},
}


@pytest.mark.parametrize("files", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_hostile_wheel_makes_no_layer(
    tmp_path: Path, index: PackageIndex, files: dict[str, bytes]
) -> None:
    index.add("evil", "1.0", {"evil_code.py": b"", **files})
    made = layers(tmp_path, settings(index))
    assert await refusal(made, "evil")
    assert _layers_in(tmp_path) == []


async def test_a_path_hook_is_left_out(tmp_path: Path, index: PackageIndex) -> None:
    # setuptools has one as well; models in folders may be called so
    files = {"tool.py": b"", "evil.pth": b"import os\n", "data/model.pth": b"1"}
    index.add("tool", "1.0", files)
    made = layers(tmp_path, settings(index))
    layer = await made.ensure(await made.lock(["tool"]))
    assert [path.relative_to(layer).as_posix() for path in layer.rglob("*.pth")] == [
        "data/model.pth"
    ]


@pytest.mark.parametrize("path", ["../escaped.py", "../" * 12 + "tmp/escaped.py", "/escaped.py"])
async def test_a_path_that_leaves_the_layer_leads_nowhere(
    tmp_path: Path, index: PackageIndex, path: str
) -> None:
    index.add("evil", "1.0", {"evil/__init__.py": b"", path: b"", "evil/../../escaped.py": b""})
    made = layers(tmp_path, settings(index))
    try:
        layer = await made.ensure(await made.lock(["evil"]))
    except DependencyError:
        assert _layers_in(tmp_path) == []
    else:
        tops = {entry.name for entry in layer.iterdir()}  # the installer leaves such files out
        assert tops == {"evil", "evil-1.0.dist-info"}
    outside = (tmp_path / "escaped.py", tmp_path.parent / "escaped.py", Path("/escaped.py"))
    assert not any(place.exists() for place in (*outside, Path("/tmp/escaped.py")))


async def test_a_link_in_a_wheel_does_not_become_one(tmp_path: Path, index: PackageIndex) -> None:
    index.add("evil", "1.0", {"evil/__init__.py": b""}, links={"evil/link": "/etc/passwd"})
    made = layers(tmp_path, settings(index))
    try:
        layer = await made.ensure(await made.lock(["evil"]))
    except DependencyError:
        return  # refused by the installer or by us
    link = layer / "evil/link"
    assert not link.is_symlink()
    assert link.read_text() == "/etc/passwd"


async def test_a_wheel_with_another_content_than_locked_is_refused(
    tmp_path: Path, index: PackageIndex
) -> None:
    index.add("tool", "1.0")
    lock = await layers(tmp_path, settings(index)).lock(["tool"])
    index.files["tool-1.0-py3-none-any.whl"] += b"more"
    other = layers(tmp_path / "other", settings(index))
    with pytest.raises(DependencyError):
        await other.ensure(lock)
    assert _layers_in(tmp_path / "other") == []


async def test_an_index_that_is_away_is_not_the_owners_fault(tmp_path: Path) -> None:
    with package_index() as index:
        gone = settings(index)
    with pytest.raises(ManagerUnavailableError, match="cannot be reached") as caught:
        await layers(tmp_path, gone).lock(["tool"])
    assert "127.0.0.1" not in str(caught.value)


def _layers_in(data_dir: Path) -> list[str]:
    return [name for name in os.listdir(data_dir / "layers") if name not in {"locks", "tools"}]


def _sdist(stem: str, setup: str) -> bytes:
    import io
    import tarfile

    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name, text in {"setup.py": setup, "PKG-INFO": "Name: evil\nVersion: 1.0\n"}.items():
            entry = tarfile.TarInfo(f"{stem}/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return target.getvalue()

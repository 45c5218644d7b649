"""Layers on disk: found, swept and evicted; what is in use or being made stays."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.layers.admission import NotAdmittedError
from sandbox.layers.settings import Root
from sandbox.layers.store import YOUNG_SECONDS, LayerStore
from sandbox.layers.stream import Incoming

ROOT = Root({}, frozenset({"uvicorn"}))
A, B, C = (letter * 64 for letter in "abc")


class Clock:
    """Unix time that tests set."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> LayerStore:
    return LayerStore(tmp_path, clock=clock)


def files(**contents: bytes) -> Iterator[Incoming]:
    for name, data in contents.items():
        yield Incoming(f"tool/{name}", len(data), iter([data]))


async def write(store: LayerStore, digest: str, **contents: bytes) -> Path:
    async with store.turn(digest):
        return store.write(digest, files(**(contents or {"a": b"x"})), ROOT)


def names(store: LayerStore) -> set[str]:
    return {entry.name for entry in store.folder.iterdir()} - {"locks"}


async def test_a_written_layer_is_found_and_cannot_be_written_to(store: LayerStore) -> None:
    assert store.find(A) is None
    path = await write(store, A, one=b"1", two=b"2")
    assert store.find(A) == path
    assert path.stat().st_mode & 0o7777 == 0o555
    assert (path / "tool/one").stat().st_mode & 0o7777 == 0o444
    assert (path / "tool/two").read_bytes() == b"2"


async def test_what_an_earlier_attempt_left_is_replaced(store: LayerStore) -> None:
    left = store.folder / f"{A}.new" / "tool"
    left.mkdir(parents=True)
    (left / "old").touch()
    path = await write(store, A, fresh=b"")
    assert [entry.name for entry in (path / "tool").iterdir()] == ["fresh"]


async def test_a_failed_write_leaves_nothing(store: LayerStore) -> None:
    def broken() -> Iterator[Incoming]:
        yield from files(a=b"x")
        raise OSError("the stream ended")

    async with store.turn(A):
        with pytest.raises(OSError, match="stream"):
            store.write(A, broken(), ROOT)
        with pytest.raises(NotAdmittedError):
            store.write(A, iter([Incoming("uvicorn.py", 0, iter([]))]), ROOT)
    assert names(store) == set()


async def test_a_folder_that_became_a_link_is_not_followed(
    store: LayerStore, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()

    def swapping() -> Iterator[Incoming]:
        yield Incoming("a/one", 0, iter([]))
        folder = store.folder / f"{A}.new" / "b"
        folder.symlink_to(outside)
        yield Incoming("b/two", 0, iter([]))

    async with store.turn(A):
        with pytest.raises(OSError, match="b"):
            store.write(A, swapping(), ROOT)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("digest", ["", "a", "../" + "a" * 61, "A" * 64, "tools", "a" * 63 + "/"])
async def test_only_digests_name_layers(store: LayerStore, digest: str) -> None:
    with pytest.raises(ValueError, match="digest"):
        store.find(digest)


async def test_sweeping_removes_what_broke_off_and_nothing_else(store: LayerStore) -> None:
    await write(store, A)
    for name in (f"{B}.new", f"{B}.old", f"{C}.new", "tools"):
        (store.folder / name / "tool").mkdir(parents=True)
        (store.folder / name / "tool").chmod(0o555)
    async with store.turn(C):  # somebody is at work on it
        assert store.sweep() == 2
    assert names(store) == {A, f"{C}.new", "tools"}
    assert store.sweep() == 1


def test_sweeping_before_the_first_layer_does_nothing(store: LayerStore) -> None:
    assert store.sweep() == 0
    assert store.evict(set(), 0) == 0


async def test_the_longest_unused_layers_go_first(store: LayerStore, clock: Clock) -> None:
    for digest in (A, B, C):
        await write(store, digest, data=bytes(1000))
        clock.now += 1
    store.find(A)  # used again
    clock.now += YOUNG_SECONDS + 1
    assert store.evict(set(), 2500) == 1
    assert names(store) == {A, C}
    assert store.evict(set(), 2500) == 0


async def test_layers_in_use_young_or_being_made_stay(store: LayerStore, clock: Clock) -> None:
    for digest in (A, B):
        await write(store, digest)
    clock.now += YOUNG_SECONDS + 1
    await write(store, C)
    async with store.turn(B):
        assert store.evict({A}, 0) == 0
    assert store.evict({A}, 0) == 1
    assert names(store) == {A, C}


async def test_a_layer_keeps_no_time_of_its_builder(store: LayerStore, clock: Clock) -> None:
    path = await write(store, A)
    assert os.stat(path).st_mtime == clock.now

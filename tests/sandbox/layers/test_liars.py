"""A builder that lies: whatever comes out of its sandbox, nothing of it stays."""

import asyncio
import json
from collections.abc import Awaitable
from pathlib import Path

import pytest

from sandbox.layers import layers as module
from sandbox.layers import locks, store
from sandbox.layers.admission import MAX_BYTES, MAX_FILES
from sandbox.layers.layers import Layers
from sandbox.layers.settings import LayerSettings, Root
from sandbox.layers.store import LayerStore
from sandbox.layers.stream import MAX_ANNOUNCEMENT
from sandbox.types import DependencyError, Lock, ManagerUnavailableError, SandboxError
from tests.support.layer_builders import Answer, ScriptedBuilder, announce, file, head
from tests.support.waiting import until

SETTINGS = LayerSettings(
    Root({"fastapi": "1.0"}, frozenset({"fastapi", "uvicorn", "sitecustomize", "asyncio"})),
    index_url="http://user:password@index.example:8080/simple",
)
HASH = "--hash=sha256:" + "a" * 64
LOCK = locks.stored(f"tool==1.0 {HASH}\n", SETTINGS)
GOOD = file("tool/__init__.py", b"version = 1\n")


@pytest.fixture(autouse=True)
def _no_tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "make_tools", lambda folder: tmp_path / "tools")


def saying(data: bytes, status: int = 200) -> Answer:
    async def answer(path: str, body: dict[str, object], writer: asyncio.StreamWriter) -> None:
        writer.write(head(status) + data)

    return answer


def resolving(output: object, *, code: object = 0, errors: object = "") -> Answer:
    return saying(json.dumps({"code": code, "output": output, "errors": errors}).encode())


def built(tmp_path: Path, answer: Answer, settings: LayerSettings = SETTINGS) -> Layers:
    return Layers(tmp_path, settings, ScriptedBuilder(answer), certificates=lambda: "CA")


def left(tmp_path: Path) -> list[str]:
    folder = tmp_path / "layers"
    return [entry.name for entry in folder.iterdir() if entry.name != "locks"]


async def failure(work: Awaitable[object], kind: type[SandboxError]) -> str:
    with pytest.raises(kind) as caught:
        await work
    assert "password" not in str(caught.value)
    return str(caught.value)


async def test_an_honest_stream_becomes_a_layer(tmp_path: Path) -> None:
    stream = GOOD + file("tool/data/empty", b"") + file("top.py", b"x") + announce({"end": 3})
    layer = await built(tmp_path, saying(stream)).ensure(LOCK)
    assert layer == tmp_path / "layers" / LOCK.digest
    assert (layer / "tool/__init__.py").read_bytes() == b"version = 1\n"
    assert left(tmp_path) == [LOCK.digest]


REFUSED = {
    "parent": file("../evil", b""),
    "parent inside": file("a/../../evil", b""),
    "absolute": file("/tmp/evil", b""),
    "dot": file("./evil", b""),
    "empty part": file("a//evil", b""),
    "folder": file("a/", b""),
    "no name": file("", b""),
    "backslash": file("a\\evil", b""),
    "null": file("a\0evil", b""),
    "new line": file("a\nevil", b""),
    "surrogate": announce({"path": "a\udcff", "size": 0}),
    "right to left": file("a\u202egpj.py", b""),
    "long name": file("a" * 201, b""),
    "long path": file("/".join(["abcdefghij" * 5] * 12), b""),
    "deep": file("/".join("a" * 25), b""),
    "twice": file("a/b.py", b"") * 2,
    "file and folder": file("a", b"") + file("a/b", b""),
    "folder and file": file("a/b", b"") + file("a", b""),
    "case": file("a/b.py", b"") + file("a/B.py", b""),
    "case of a folder": file("a/b.py", b"") + file("A/c.py", b""),
    "composed": file("a/\u00e9", b"") + file("a/e\u0301", b""),
    "ligature": file("a/file", b"") + file("a/\ufb01le", b""),
    "path hook": file("evil.pth", b""),
    "path hook in capitals": file("evil.PTH", b""),
    "start-up": file("sitecustomize.py", b""),
    "shadow": file("uvicorn/__init__.py", b""),
    "shadow without source": file("uvicorn.pyc", b""),
    "shadow in other letters": file("\uff55vicorn/__init__.py", b""),
    "too large": announce({"path": "a", "size": MAX_BYTES + 1}),
    "too large in all": file("a", b"1") + announce({"path": "b", "size": MAX_BYTES}),
    "its own refusal": announce({"error": "'a' is not an ordinary file\x1b[31m"}),
}


@pytest.mark.parametrize("bad", REFUSED.values(), ids=REFUSED.keys())
async def test_a_file_that_may_not_be_makes_no_layer(tmp_path: Path, bad: bytes) -> None:
    made = built(tmp_path, saying(GOOD + bad + announce({"end": 2})))
    assert (await failure(made.ensure(LOCK), DependencyError)).isprintable()
    assert left(tmp_path) == []
    assert {path.name for path in tmp_path.iterdir()} == {"layers"}


BROKEN = {
    "nothing": b"",
    "no end": GOOD,
    "half a length": GOOD + b"\0\0",
    "half an announcement": GOOD + announce({"end": 1})[:-1],
    "half a file": GOOD + announce({"path": "a", "size": 10}) + b"12345",
    "wrong count": GOOD + announce({"end": 2}),
    "bytes after the end": GOOD + announce({"end": 1}) + b"x",
    "more files after the end": GOOD + announce({"end": 1}) + GOOD,
    "more bytes than announced": announce({"path": "a", "size": 1}) + b"1234567890",
    "zero length": b"\0\0\0\0",
    "huge announcement": b"\xff\xff\xff\xff" + b"x" * 1000,
    "long announcement": (MAX_ANNOUNCEMENT + 1).to_bytes(4, "big") + b" " * 5000,
    "no JSON": b"\0\0\0\4nope",
    "deep JSON": (4000).to_bytes(4, "big") + b"[" * 4000,
    "negative": announce({"path": "a", "size": -1}),
    "yes for a size": announce({"path": "a", "size": True}) + b"x" + announce({"end": 1}),
    "fraction": announce({"path": "a", "size": 1.5}),
    "list": announce([]),
    "no path": announce({"size": 1}),
    "path of another type": announce({"path": ["a"], "size": 0}),
    "yes for the end": GOOD + announce({"end": True}),
}


@pytest.mark.parametrize("bad", BROKEN.values(), ids=BROKEN.keys())
async def test_a_stream_that_is_none_makes_no_layer(tmp_path: Path, bad: bytes) -> None:
    await failure(built(tmp_path, saying(bad)).ensure(LOCK), ManagerUnavailableError)
    assert left(tmp_path) == []


async def test_files_without_end_are_stopped_at_the_cap(tmp_path: Path) -> None:
    async def answer(path: str, body: dict[str, object], writer: asyncio.StreamWriter) -> None:
        writer.write(head())
        for number in range(MAX_FILES + 2):
            writer.write(file(f"a/{number}", b""))
            if number % 500 == 0:
                await writer.drain()

    assert "files" in await failure(built(tmp_path, answer).ensure(LOCK), DependencyError)
    assert left(tmp_path) == []


async def _silent(path: str, body: dict[str, object], writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def _dripping(path: str, body: dict[str, object], writer: asyncio.StreamWriter) -> None:
    writer.write(head() + GOOD + announce({"path": "a", "size": MAX_BYTES // 2}))
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


async def _endless_head(path: str, body: dict[str, object], writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"x: y\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("answer", [_silent, _dripping, _endless_head])
async def test_a_builder_that_never_ends_is_left(
    tmp_path: Path, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "INSTALL_SECONDS", 0.5)
    await failure(built(tmp_path, answer).ensure(LOCK), ManagerUnavailableError)
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    "answer",
    [
        saying(b"", 500),
        saying(b"no json", 422),
        saying(b"[]", 422),
        saying(b"", 302),
        saying(b"{" * 5_000_000, 422),
    ],
)
async def test_answers_that_are_none_are_our_own_trouble(tmp_path: Path, answer: Answer) -> None:
    await failure(built(tmp_path, answer).ensure(LOCK), ManagerUnavailableError)


@pytest.mark.parametrize(
    "output",
    [
        "tool==1.0",
        f"tool>=1.0 {HASH}",
        f"tool==1.0 {HASH}\ntool==2.0 {HASH}",
        f"tool @ https://example.org/tool.whl {HASH}",
        f"--index-url https://example.org\ntool==1.0 {HASH}",
        f"tool==1.0 {HASH} --find-links /",
        f"-r /etc/passwd {HASH}",
        f"../tool==1.0 {HASH}",
        f"Tool==1.0 {HASH}",
        "tool==1.0 --hash=md5:00",
        "\n".join(f"p{n}==1.0 {HASH}" for n in range(151)),
        f"tool==1.0 {' '.join([HASH] * 20_000)}",
    ],
)
async def test_a_lock_has_only_names_versions_and_hashes(tmp_path: Path, output: str) -> None:
    await failure(built(tmp_path, resolving(output)).lock(["tool"]), DependencyError)


@pytest.mark.parametrize("answer", [resolving(None), resolving("", errors=1), saying(b"[1]")])
async def test_a_resolver_that_says_nothing_is_our_own_trouble(
    tmp_path: Path, answer: Answer
) -> None:
    await failure(built(tmp_path, answer).lock(["tool"]), ManagerUnavailableError)


async def test_what_a_resolver_says_is_cleaned(tmp_path: Path) -> None:
    errors = (
        "\x1b[31merror\x1b[0m: No solution found when resolving dependencies\n  cause: Because "
        "http://user:password@index.example:8080/simple/tool has no\x07 tool\n\nhint: use --force"
    )
    made = built(tmp_path, resolving("", code=1, errors=errors))
    reason = await failure(made.lock(["tool"]), DependencyError)
    assert reason == "Because the package index has no? tool"
    long = built(tmp_path, resolving("", code=1, errors="No solution found " + "x" * 100_000))
    assert len(await failure(long.lock(["tool"]), DependencyError)) < 2_000


async def test_a_builder_is_told_what_it_needs_and_nothing_of_an_api(tmp_path: Path) -> None:
    builder = ScriptedBuilder(resolving("", code=1, errors="No solution found"))
    made = Layers(tmp_path, SETTINGS, builder, certificates=lambda: "CA", clock=lambda: 864_000.0)
    await failure(made.lock(["tool>1"]), DependencyError)
    assert builder.bodies == [
        (
            "/resolve",
            {
                "requirements": ["tool>1"],
                "root": ["fastapi==1.0"],
                "newest": "1970-01-04T00:00:00Z",
                "index": SETTINGS.index_url,
                "ca": "CA",
            },
        )
    ]


@pytest.mark.parametrize(
    "requirements", [["-r x"], ["tool @ https://example.org"], ["a"] * 51, ["../x"], ["a\nb"]]
)
async def test_requirements_are_looked_at_again(tmp_path: Path, requirements: list[str]) -> None:
    await failure(built(tmp_path, _silent).lock(requirements), DependencyError)


@pytest.mark.parametrize(
    "text", ["", "tool==1.0\n", f"b==1 {HASH}\na==1 {HASH}\n", "x" * 2_000_000]
)
async def test_a_stored_lock_is_looked_at_again(tmp_path: Path, text: str) -> None:
    await failure(built(tmp_path, _silent).ensure(Lock(LOCK.digest, text, ())), DependencyError)


async def test_one_who_leaves_does_not_end_the_build_of_the_others(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def answer(path: str, body: dict[str, object], writer: asyncio.StreamWriter) -> None:
        await go.wait()
        writer.write(head() + GOOD + announce({"end": 1}))

    builder = ScriptedBuilder(answer)
    made = Layers(tmp_path, SETTINGS, builder)
    first, second = (asyncio.create_task(made.ensure(LOCK)) for _ in range(2))
    await until(lambda: bool(builder.bodies))
    first.cancel()
    go.set()
    assert (await second).is_dir()
    assert first.cancelled()
    assert len(builder.bodies) == 1


async def test_another_process_that_builds_the_same_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[bool] = []
    locked = store._locked

    def counted(descriptor: int) -> bool:
        tries.append(locked(descriptor))
        return tries[-1]

    builder = ScriptedBuilder(saying(GOOD + announce({"end": 1})))
    made = Layers(tmp_path, SETTINGS, builder)
    other = LayerStore(tmp_path)
    async with other.turn(LOCK.digest):
        monkeypatch.setattr(store, "_locked", counted)
        waiting = asyncio.create_task(made.ensure(LOCK))
        await until(lambda: len(tries) >= 2)
        assert not any(tries)
        assert not builder.bodies
        (other.folder / LOCK.digest).mkdir()  # it has finished
    assert (await waiting).name == LOCK.digest
    assert not builder.bodies


async def test_closing_ends_builds_and_leaves_nothing(tmp_path: Path) -> None:
    builder = ScriptedBuilder(_dripping)
    made = Layers(tmp_path, SETTINGS, builder)
    waiting = asyncio.create_task(made.ensure(LOCK))
    await until(lambda: bool(builder.bodies))
    await made.close()
    await failure(waiting, ManagerUnavailableError)
    await until(lambda: left(tmp_path) == [])

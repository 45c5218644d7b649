"""Every raw answer of a sandbox ends as its row says, over real sockets on both sides."""

import asyncio
import json
from dataclasses import dataclass, replace

import pytest

from gateway.store.routes import Route
from tests.hostile.raw_answer_rows import AnswerRow, Cue
from tests.hostile.raw_answers import GROUPS, ROWS, SLOW
from tests.hostile.raw_caller import RawAnswer, RawCaller
from tests.hostile.raw_rows import head
from tests.hostile.raw_sandbox import RawSandbox
from tests.support.datapath import DataPath, data_path

SECONDS = 20.0
DOMAIN = "apis.test"
GOOD = head(target=b"%API%/good")


@dataclass
class Stage:
    """One row between its sandbox and its caller."""

    row: AnswerRow
    path: DataPath
    route: Route
    key: str
    sandbox: RawSandbox

    def filled(self, text: bytes) -> bytes:
        """With this API's address and key."""
        api, slug = self.route.api_id.encode(), self.route.slug.encode()
        text = text.replace(b"%API%", b"/" + api).replace(b"%KEY%", self.key.encode())
        return text.replace(b"%SLUG%", slug)

    async def caller(self) -> RawCaller:
        """A new connection."""
        return RawCaller(*await self.path.connect())

    async def good(self, caller: RawCaller) -> str:
        """An ordinary call, and what was wrong with its answer."""
        caller.ask(self.filled(GOOD))
        it = await caller.answer(lambda: None, is_head=False)
        if (it.status, it.whole) != (200, True) or not it.body.startswith(b"good "):
            return f"a good call got {it.head!r} {it.body!r}"
        return it.wrong()

    async def hostile(self, caller: RawCaller) -> str:
        """The call of the row, and what was otherwise than it says."""
        cues = self.sandbox.cues
        caller.ask(self.filled(self.row.asked))
        it = await caller.answer(
            cues[Cue.HEAD_SEEN].set, is_head=self.row.asked.startswith(b"HEAD ")
        )
        cues[Cue.ANSWER_SEEN].set()
        await self.sandbox.played.wait()
        return it.wrong() or self.compared(it) or self.recorded()

    def compared(self, it: RawAnswer) -> str:
        """The answer with the row."""
        row = self.row
        if (it.status, it.whole) != (row.status, row.whole):
            return f"{it.status} {'whole' if it.whole else 'broken'}: {it.head!r} {it.body[:200]!r}"
        if row.code is not None and row.whole and it.body and _code(it) != row.code:
            return f"code {_code(it)}"
        if row.body is not None and it.body != row.body:
            return f"body {it.body[:200]!r}"
        lines = (b"\r\n" + it.head).split(b"\r\n")
        if missing := [line for line in row.has if self.filled(line) not in lines]:
            return f"{missing} not in {it.head!r}"
        answer = (it.head + it.body).lower()
        if found := [text for text in row.lacks if self.filled(text) in answer]:
            return f"{found} in {answer[:600]!r}"
        return ""

    def recorded(self) -> str:
        """The last record of this API."""
        codes = [
            each["error_code"]
            for each in self.path.records()
            if each["api_id"] == self.route.api_id
        ]
        return "" if codes[-1:] == [self.row.code] else f"recorded as {codes}"

    async def play(self, is_warm: bool, times: int) -> str:
        """Good call, hostile call, good call; what was wrong first."""
        caller = await self.caller()
        try:
            if is_warm and (wrong := await self.good(caller)):
                return wrong
            for _ in range(times):
                if wrong := await self.hostile(caller):
                    return wrong
            if self.row.caller == "ends":
                if not await caller.has_ended():
                    return "more came on the caller's connection"
                await caller.close()
                caller = await self.caller()
            if wrong := await self.good(caller):
                return f"afterwards {wrong}"
        finally:
            await caller.close()
        wanted = 1 if self.row.upstream == "kept" else 2
        if self.sandbox.connections != wanted:
            return f"{self.sandbox.connections} connections to the sandbox"
        return ""


def _code(it: RawAnswer) -> object:
    return json.loads(it.body)["code"] if it.body.startswith(b"{") else it.body


async def failure(row: AnswerRow, path: DataPath, *, is_warm: bool) -> str:
    """What was otherwise than the row says; nothing when all was as it says.

    An answer after which both connections go on is given twice: its head is read once.
    """
    goes_on = (row.upstream, row.caller) == ("kept", "goes on")
    times = 2 if goes_on and Cue.ANSWER_SEEN not in row.sent else 1
    route = path.store.add_api(settings=row.settings)
    key = path.store.add_key(route)
    address = str(path.sandboxes.folder / f"{route.slug}.sock")
    path.sandboxes.adopt(route.versions[0].version_id, address)
    api = b"/" + route.api_id.encode()
    sent = tuple(
        each if isinstance(each, Cue) else each.replace(b"%API%", api) for each in row.sent
    )
    sandbox = RawSandbox(*[None] * is_warm, *[replace(row, sent=sent)] * times)
    stage = Stage(row, path, route, key, sandbox)
    async with sandbox.listening(address):
        try:
            async with asyncio.timeout(SECONDS):
                return await stage.play(is_warm, times)
        except TimeoutError:
            return "it does not end"


async def failures(group: str, *, is_warm: bool) -> list[str]:
    """Of all rows of a group on one gateway, since none of them may disturb the next."""
    found = []
    seconds = {"call_seconds": 0.5} if group == SLOW else {}
    async with data_path(base_domain=DOMAIN, **seconds) as path:
        for row in GROUPS[group]:
            wrong = await failure(row, path, is_warm=is_warm)
            if wrong:
                found.append(f"{row.name}: {wrong}")
    return found


@pytest.mark.parametrize("is_warm", [False, True], ids=["first call", "warm"])
@pytest.mark.parametrize("group", GROUPS)
async def test_raw_answers_end_as_their_rows_say(group: str, *, is_warm: bool) -> None:
    assert await failures(group, is_warm=is_warm) == []


async def test_a_row_that_says_something_else_is_found() -> None:
    """The judge is no rubber stamp: each verdict of a good row, turned round, is noticed."""
    row = next(row for row in ROWS if row.name == "line: reason left out")
    wrong = [
        replace(row, status=201),
        replace(row, body=b"other"),
        replace(row, whole=False),
        replace(row, has=(b"x: y",)),
        replace(row, lacks=(b"ok",)),
        replace(row, upstream="dropped"),
        replace(row, code="api_died"),
    ]
    async with data_path() as path:
        assert await failure(row, path, is_warm=True) == ""
        assert all([await failure(each, path, is_warm=True) for each in wrong])


def test_the_corpus_is_large_and_its_names_are_unique() -> None:
    assert len(ROWS) >= 100
    assert len({row.name for row in ROWS}) == len(ROWS)

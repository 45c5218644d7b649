"""Whatever both sides do, in any order: each of them is sent a valid stream that ends once."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode

from gateway.limits.types import Decision
from gateway.proxy.frames import FrameReader
from gateway.proxy.streams import DRAINED
from gateway.proxy.tunnel import Side, Tunnel
from gateway.store.call_settings import WebSocketSettings

HELLO = b"HTTP/1.1 101\r\n\r\n"
CAP = 60


class Wire(asyncio.Transport):
    """A connection that refuses to be misused, and tells its protocol when it is lost."""

    def __init__(self, side: Side) -> None:
        super().__init__()
        self.side, self.written = side, b""
        self.is_open, self.has_eof = True, False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Never after the end."""
        assert not self.has_eof
        if self.is_open:
            self.written += bytes(data)

    def can_write_eof(self) -> bool:
        """As TCP can."""
        return True

    def write_eof(self) -> None:
        """The end of what is written."""
        self.has_eof = True

    def is_closing(self) -> bool:
        """Whether it is over."""
        return not self.is_open

    def pause_reading(self) -> None:
        """Only while it is open."""
        assert self.is_open

    def resume_reading(self) -> None:
        """Only while it is open."""
        assert self.is_open

    def close(self) -> None:
        """Its protocol hears of it later."""
        if self.is_open:
            self.is_open = False
            asyncio.get_running_loop().call_soon(self.side.connection_lost, None)

    abort = close


def sent(is_client: bool) -> st.SearchStrategy[bytes]:
    """Frames, pieces of frames, and nonsense."""
    frames = [
        Frame(Opcode.TEXT, b"text"),
        Frame(Opcode.TEXT, b"begin", False),
        Frame(Opcode.CONT, b"go on", False),
        Frame(Opcode.CONT, b"end"),
        Frame(Opcode.BINARY, b"x" * 61),
        Frame(Opcode.PING, b"?"),
        Frame(Opcode.CLOSE, Close(1000, "bye").serialize()),
    ]
    whole = [frame.serialize(mask=is_client) for frame in frames]
    cut = [data[:at] for data in whole[:4] for at in (1, 3, len(data) - 1)]
    rest = [data[at:] for data in whole[:4] for at in (1, 3, len(data) - 1)]
    return st.sampled_from([*whole, *whole, *cut, *rest, b"\x83\x00", b"\x00\x00"])


steps = st.lists(
    st.one_of(
        st.tuples(st.just("caller"), sent(True)),
        st.tuples(st.just("app"), sent(False)),
        st.tuples(st.sampled_from(["stall", "flow", "decide", "refuse", "turn"]), st.just(b"")),
        st.tuples(st.sampled_from(["caller leaves", "app dies", "drain"]), st.just(b"")),
    ),
    max_size=14,
)


class Play:
    """One tunnel, its two wires, and what came of it."""

    def __init__(self, *, asks: bool) -> None:
        self.ends = 0
        self.waiting: list[asyncio.Future[Decision]] = []
        self.tunnel = Tunnel(
            WebSocketSettings(message_bytes=CAP, limit_messages=asks),
            hello=HELLO,
            is_compressed=False,
            decide=self._decide,
            on_end=self._on_end,
        )
        self.caller, self.app = Wire(self.tunnel.caller), Wire(self.tunnel.app)
        self.tunnel.app.connection_made(self.app)
        self.tunnel.caller.connection_made(self.caller)

    def _on_end(self, _: Tunnel) -> None:
        self.ends += 1

    def _decide(self) -> Decision | asyncio.Future[Decision]:
        self.waiting.append(asyncio.get_running_loop().create_future())
        return self.waiting[-1]

    async def step(self, what: str, data: bytes) -> None:
        """One thing happens."""
        wire = self.caller if what.startswith("caller") else self.app
        if what in ("caller", "app"):
            if wire.is_open:
                wire.side.data_received(data)
        elif what in ("caller leaves", "app dies"):
            wire.close()
        elif what in ("decide", "refuse") and self.waiting:
            self.waiting.pop(0).set_result(Decision(what == "decide", ()))
        elif what == "stall":
            self.tunnel.caller.pause_writing()
        elif what == "flow":
            self.tunnel.caller.resume_writing()
        elif what == "drain":
            self.tunnel.close(DRAINED)
        await asyncio.sleep(0)

    async def end(self) -> None:
        """The last timer fires."""
        self.tunnel.close(DRAINED)
        self.caller.close()
        self.app.close()
        for _ in range(3):
            await asyncio.sleep(0)


def check(written: bytes, *, is_client: bool) -> None:
    """What was sent to one side is frames that are right, and nothing after a close."""
    reader = FrameReader(is_masked=is_client, is_compressed=False, cap=CAP)
    assert bytes(reader.feed(written)) == written
    assert reader.violation is None


@settings(max_examples=100, deadline=None)
@given(steps, st.booleans())
def test_each_side_is_sent_a_valid_stream_that_ends_once(
    played: list[tuple[str, bytes]], asks: bool
) -> None:
    async def run() -> Play:
        play = Play(asks=asks)
        for what, data in played:
            await play.step(what, data)
        await play.end()
        return play

    play = asyncio.run(run())
    assert play.ends == 1
    assert play.caller.written.startswith(HELLO)
    check(play.caller.written[len(HELLO) :], is_client=False)
    check(play.app.written, is_client=True)
    assert play.tunnel.caller.is_lost
    assert play.tunnel.app.is_lost

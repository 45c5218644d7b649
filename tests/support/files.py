"""Files as people send them, made when they are asked for, and a scanner like clamd."""

import asyncio
import io
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

# split, so that no scanner takes this file for what it makes
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + rb"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
SVG = (
    b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
)
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"


def picture(
    picture_format: str = "PNG", size: tuple[int, int] = (40, 20), mode: str = "RGB"
) -> bytes:
    """A picture with a red left half and a blue right half."""
    image = Image.new("RGB", size, "blue")
    image.paste("red", (0, 0, size[0] // 2, size[1]))
    made = io.BytesIO()
    image.convert(mode).save(made, picture_format)
    return made.getvalue()


def telling_jpeg() -> bytes:
    """A JPEG that lies on its side and tells where it was made."""
    image = Image.open(io.BytesIO(picture()))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    exif[0x010F] = "SecretCamera"
    made = io.BytesIO()
    image.save(made, "JPEG", exif=exif, comment=b"SecretComment")
    return made.getvalue()


def bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A PNG of a few bytes that says that it is enormous."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack("!I", len(data)) + body + struct.pack("!I", zlib.crc32(body))

    head = struct.pack("!IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def opened(content: bytes) -> Image.Image:
    """What a reader sees."""
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


@dataclass(slots=True)
class FakeClamd:
    """Speaks INSTREAM; `answer` takes the place of what it would say by itself."""

    address: Path
    answer: bytes | None = None
    seen: list[bytes] = field(default_factory=list)
    is_idle: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One command, as clamd does it."""
        self.is_idle.clear()
        try:
            command = await reader.readuntil(b"\0")
            content = b""
            while size := struct.unpack("!I", await reader.readexactly(4))[0]:
                content += await reader.readexactly(size)
            assert command == b"zINSTREAM\0"
            self.seen.append(content)
            found = b"stream: Eicar-Test-Signature FOUND" if EICAR in content else b"stream: OK"
            writer.write((found if self.answer is None else self.answer) + b"\0")
            await writer.drain()
        finally:
            writer.close()
            self.is_idle.set()


@asynccontextmanager
async def clamd(folder: Path, answer: bytes | None = None) -> AsyncIterator[FakeClamd]:
    """A running one."""
    made = FakeClamd(folder / "clamd.sock", answer)
    server = await asyncio.start_unix_server(made.serve, made.address)
    async with server:
        yield made
        await made.is_idle.wait()

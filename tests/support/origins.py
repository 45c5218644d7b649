"""Runs in a network namespace: a name server and web servers that write down what they are asked.

`python -m tests.support.origins FOLDER ADDRESS ADDRESS name=1.2.3.4,5.6.7.8 …`; a name's
addresses are answered one at a time, in turn, with a time to live of nothing.
"""

import asyncio
import datetime
import signal
import ssl
import sys
from pathlib import Path
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class NameServer(asyncio.DatagramProtocol):
    """Answers A queries of the names it was given."""

    def __init__(self, names: dict[str, list[str]]) -> None:
        self._names = names
        self._asked = dict.fromkeys(names, 0)
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bound."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """One query."""
        query = dns.message.from_wire(data)
        answer = dns.message.make_response(query)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        if name not in self._names:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif question.rdtype == dns.rdatatype.A:
            addresses = self._names[name]
            chosen = addresses[self._asked[name] % len(addresses)]
            self._asked[name] += 1
            answer.answer.append(dns.rrset.from_text(question.name, 0, "IN", "A", chosen))
        assert self._transport is not None
        self._transport.sendto(answer.to_wire(), addr)


def certificate(folder: Path, names: list[str]) -> ssl.SSLContext:
    """Self-signed, for all names."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "origin of a test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "origin.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "origin.key").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "origin.pem", folder / "origin.key")
    return context


async def main(folder: Path, addresses: list[str], names: dict[str, list[str]]) -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, OSError):
            writer.close()
            return
        line = head.decode("latin-1").replace("\r\n", " | ")
        with (folder / "requests").open("a") as file:
            file.write(line + "\n")
        if b" /redirect" in head:
            writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n"
                         b"Content-Length: 0\r\nConnection: close\r\n\r\n")  # fmt: skip
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\norigin")
        await writer.drain()
        writer.close()

    await loop.create_datagram_endpoint(lambda: NameServer(names), (addresses[0], 53))
    context = certificate(folder, list(names))
    servers = [
        await asyncio.start_server(answer, address, port, ssl=context if port == 443 else None)
        for address in addresses
        for port in (80, 443)
    ]
    (folder / "ready").touch()
    await stop.wait()
    for server in servers:
        server.close()


if __name__ == "__main__":
    given = dict(word.split("=", 1) for word in sys.argv[4:])
    asyncio.run(
        main(Path(sys.argv[1]), sys.argv[2:4], {name: v.split(",") for name, v in given.items()})
    )

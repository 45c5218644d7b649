"""Who asks, and for which kind of URL, when trusted servers stand in front of the gateway."""

from collections.abc import Callable

from gateway.proxy.client_address import ClientAddresses
from gateway.server.host import Sender
from gateway.server.request import Head

SenderOf = Callable[[Sender | None, Head], tuple[Sender | None, str]]


def sender_behind(trusted_proxies: str) -> SenderOf:
    """From the setting: networks separated by commas; ValueError for anything else."""
    addresses = ClientAddresses.from_text(trusted_proxies)

    def sender(peer: Sender | None, head: Head) -> tuple[Sender | None, str]:
        if peer is None or not addresses.trusts(peer[0]):
            return peer, "http"
        told = [value for name, value in head.fields if name == b"x-forwarded-proto"]
        scheme = "https" if told and told[-1].lower() == b"https" else "http"
        host = addresses.of(peer[0], head.fields)
        return (peer if host == peer[0] else (host, 0)), scheme

    return sender

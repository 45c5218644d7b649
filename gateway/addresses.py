"""Addresses of this installation as a person on this machine would type them."""

import ipaddress
import socket


def base_url(listener: socket.socket) -> str:
    """Where the public listener is reached, like `http://127.0.0.1:8000`."""
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"http://[{address}]:{port}" if address.version == 6 else f"http://{address}:{port}"

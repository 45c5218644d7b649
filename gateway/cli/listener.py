"""The public listening socket, opened once by the supervisor and kept across gateway restarts."""

import errno
import socket

from gateway.cli.failures import ListenError

BACKLOG = 4096


def open_listener(host: str, port: int) -> socket.socket:
    """Bind and listen. Calls wait in its queue while a gateway is being restarted."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise ListenError(f"GATEWAY_HOST {host!r} is not an address of this machine") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ListenError(_advice(error, host, port)) from error
    return listener


def _advice(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is taken; stop what listens there "
            f"or choose another: GATEWAY_PORT={port + 1} make run"
        )
    if error.errno == errno.EACCES:
        return f"port {port} needs rights this user does not have; set GATEWAY_PORT above 1023"
    return f"cannot listen on {host}:{port}: {error.strerror}"

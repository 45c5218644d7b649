"""Why the door does not let something through, and how it says so. Pure."""

import json
from enum import StrEnum
from http import HTTPStatus


class Code(StrEnum):
    """Stable codes of the door's answers."""

    BAD_REQUEST = "egress_bad_request"
    HOST = "egress_host_not_allowed"
    PORT = "egress_port_not_allowed"
    ADDRESS = "egress_address_refused"
    TLS = "egress_tls_mismatch"
    LIMIT = "egress_limit"
    UNREACHABLE = "egress_unreachable"
    TIMEOUT = "egress_timeout"


_STATUS = {
    Code.BAD_REQUEST: HTTPStatus.BAD_REQUEST,
    Code.UNREACHABLE: HTTPStatus.BAD_GATEWAY,
    Code.TIMEOUT: HTTPStatus.GATEWAY_TIMEOUT,
}
_TITLES = {
    Code.BAD_REQUEST: "The request to the outgoing proxy cannot be understood",
    Code.HOST: "This host is not on the API's list of outgoing hosts",
    Code.PORT: "This port of the host is not on the API's list of outgoing hosts",
    Code.ADDRESS: "The host has an address that sandboxes may not reach",
    Code.TLS: "The connection does not begin with TLS for the host it was opened to",
    Code.LIMIT: "A limit on outgoing connections is reached",
    Code.UNREACHABLE: "The host cannot be reached",
    Code.TIMEOUT: "The host took too long",
}


class RefusedError(Exception):
    """The connection ends here. All of it is for the API's owner to read."""

    def __init__(self, code: Code, detail: str = "") -> None:
        super().__init__(f"{_TITLES[code]}: {detail}" if detail else _TITLES[code])
        self.code = code

    def answer(self) -> bytes:
        """A whole HTTP answer."""
        status = _STATUS.get(self.code, HTTPStatus.FORBIDDEN)
        problem = {
            "title": _TITLES[self.code],
            "status": status.value,
            "code": self.code,
            "detail": str(self),
        }
        body = json.dumps(problem).encode()
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\n"
            "Content-Type: application/problem+json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + body

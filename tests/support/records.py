"""The record of one call as a value, to compare with what the journal holds."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One admitted and answered call.

    `at` is the admission time in Unix seconds, fixed once; with `request_id` it is the
    idempotency key. `limits` are the (subject, window) pairs in which the call was counted.
    """

    request_id: str
    at: float
    api_id: str
    tenant_id: str  # owner of the API
    caller_tenant_id: str  # owner of the key
    key_id: str
    version: int
    method: str
    path: str  # inside the API, at most 512 characters
    status_code: int
    error_code: str | None  # problem code when the gateway made the answer
    response_time_us: int
    request_size_bytes: int
    response_size_bytes: int
    limits: tuple[tuple[str, str], ...]

    def to_line(self) -> bytes:
        """One line of JSON with its line feed."""
        return (json.dumps(self.to_json(), separators=(",", ":")) + "\n").encode()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON form, column names of `api_usage` plus `limits`."""
        return {name: getattr(self, name) for name in self.__slots__}

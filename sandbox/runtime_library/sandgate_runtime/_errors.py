"""What can go wrong with the key-value store."""


class KvError(Exception):
    """The store refused. `code` says why: `invalid_key`, `not_an_integer`, `out_of_range`, …"""

    def __init__(self, message: str, code: str = "bad_request") -> None:
        super().__init__(message)
        self.code = code


class KvQuotaError(KvError):
    """Too large: one value, or all of them together. Delete something, or use a ttl."""


class KvUnavailableError(KvError):
    """The store did not answer in time, or there is none where this code runs. Try again later.

    `get`, `list`, `items`, `delete` and a plain `set` may be repeated without harm; whether an
    `increment`, a `replace` or a `set` with `if_absent` was done is not known then.
    """

    def __init__(self, message: str, code: str = "unavailable") -> None:
        super().__init__(message, code)

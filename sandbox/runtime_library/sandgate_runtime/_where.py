"""Where the store is reached, and the words for when it is not."""

from ._errors import KvUnavailableError

PATH = "/ctl/data.sock"
SECONDS = 10.0


def nobody_there(path: str, error: OSError) -> KvUnavailableError:
    """There is nothing to connect to."""
    if isinstance(error, FileNotFoundError):
        return KvUnavailableError(
            f"there is no key-value store here ({path} does not exist). Sandgate offers it to "
            "code that runs in its sandboxes; elsewhere, in tests for instance, put an object "
            "with the same methods in the place of `kv`."
        )
    return KvUnavailableError(f"the key-value store does not answer: {error}")


def not_in_time(seconds: float) -> KvUnavailableError:
    """Nothing came before the deadline."""
    return KvUnavailableError(
        f"the key-value store did not answer within {seconds:g} seconds; try again later. When "
        "it never does, this installation does not serve it: ask its operator."
    )


def unknown_outcome() -> KvUnavailableError:
    """The connection ended between a call and its answer."""
    return KvUnavailableError(
        "the connection to the key-value store was lost; the call may or may not have been done"
    )

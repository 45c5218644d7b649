"""What the database refused, told by its stable code."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.store.database import DatabaseError


@contextmanager
def refusal(code: str) -> Iterator[None]:
    """The block ends with the database refusing under this code."""
    with pytest.raises(DatabaseError) as caught:
        yield
    assert caught.value.code == code

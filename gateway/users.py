"""The users that Sandgate's processes become when root starts it; only the manager stays root.

Numbers without an entry in `passwd`, just below those of the sandboxes: no account of the
machine has them, so no file of anybody's is theirs by accident.
"""

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProcessUser:
    """User and group id of a process of ours; both are the same number."""

    name: str
    uid: int


GATEWAY = ProcessUser("gateway", 805_306_366)  # gateway and worker: they share secrets and journal
DOOR = ProcessUser("door", 805_306_367)


def by_root() -> bool:
    """Whether this process may hand its children to other users."""
    return os.geteuid() == 0

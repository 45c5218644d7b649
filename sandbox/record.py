"""What is written down about one sandbox in service, for the next manager."""

from dataclasses import replace

from sandbox.paths import RunPaths
from sandbox.reconcile import State, write_state
from sandbox.types import EgressPolicy


class Record:
    """Empty until the sandbox is ready. The file never holds a secret."""

    def __init__(self, paths: RunPaths) -> None:
        self._paths = paths
        self._state: State | None = None

    @property
    def lacks_secrets(self) -> bool:
        """Whether it was adopted and the door cannot put in its secrets yet."""
        return self._state is not None and self._state.lacks_secrets

    def adopted(self, state: State) -> None:
        """This was in the file, and is all that is known."""
        self._state = state

    def write(self, state: State) -> None:
        """Write it down. Unlike the file, this manager knows the secrets."""
        write_state(self._paths, state)
        self._state = replace(state, lacks_secrets=False)

    def set_egress(self, policy: EgressPolicy) -> None:
        """Write down another policy."""
        if self._state is not None:
            lacking = bool(policy.placeholders)
            self.write(replace(self._state, hosts=policy.hosts, lacks_secrets=lacking))

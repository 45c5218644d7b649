"""What a blank is told when it gets its code."""

from dataclasses import asdict, dataclass

from sandbox.outlets import Outlets, Ways
from sandbox.runner.frames import Message
from sandbox.types import Bundle, SandboxSpec


@dataclass(frozen=True, slots=True)
class Assignment:
    """One API's code for one blank. `bundle.egress` is the policy that is in force.

    A `builder` is code of our own: it belongs to no API and has no data; `trusted` are hosts
    that its operator named, whose addresses may be private.
    """

    spec: SandboxSpec
    bundle: Bundle
    seconds: float
    call_cpu_seconds: float
    certificate: str = ""
    is_builder: bool = False
    trusted: tuple[str, ...] = ()

    def open_ways(self, outlets: Outlets, sandbox_id: str, ways: Ways) -> None:
        """Let door and worker serve it."""
        if self.is_builder:
            outlets.open_builder(sandbox_id, ways, self.bundle.egress, self.trusted)
        else:
            outlets.open(sandbox_id, self.spec.api_id, ways, self.bundle.egress)


def specialise_message(order: Assignment, takes_descriptors: bool) -> Message:
    """For the runner; it holds the secrets and is never logged.

    The way out is there even without any host: the policy may change while it runs, and the
    door says better than a closed connection why something is refused.
    """
    bundle, resources = order.bundle, order.spec.resources
    placeholders = bundle.egress.placeholders
    return {
        "type": "specialise",
        "api_id": order.spec.api_id,
        "version_id": order.spec.version_id,
        "filename": "app.py",
        "code": bundle.code,
        "seconds": order.seconds,
        "environment": dict(bundle.environment),
        "egress": True,
        "ca": order.certificate,
        "layer": bool(order.spec.layer),
        "resources": asdict(resources),
        "call_cpu_seconds": order.call_cpu_seconds,
        "redact": sorted({t for t in bundle.environment.values() if t and t not in placeholders}),
        "listener": "descriptor" if takes_descriptors else "dial",
    }

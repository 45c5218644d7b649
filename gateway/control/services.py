"""What the control plane is built from."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Protocol

from fastapi import Depends, Request

from gateway.auth.admin_key import AdminKey
from gateway.auth.subject import User
from gateway.control.leak_desk import LeakDesk
from gateway.control.peers import Peers
from gateway.metrics import Metrics
from gateway.operations.chat import Assistants
from gateway.operations.health import Probe
from gateway.operations.ports import Services
from gateway.operations.public_numbers import PublicNumbers
from gateway.operations.uploads import UploadParts


class Sessions(Protocol):
    """Who knows the people behind access tokens."""

    async def verify(self, token: str) -> User:
        """The person of a valid session; UnauthorizedError for anything else."""
        ...


@dataclass(frozen=True, slots=True)
class ControlServices:
    """`probes` are parts beside database and sandboxes that `/ready` asks as well.

    `peers` are the other gateways of this machine, whose numbers are told along with ours.
    """

    operations: Services
    sessions: Sessions
    admin_key: AdminKey = field(repr=False)
    metrics: Metrics
    version: str
    probes: Mapping[str, Probe] = field(default_factory=dict)
    peers: Peers | None = None
    leaks: LeakDesk = field(default_factory=LeakDesk)
    uploads: UploadParts | None = None
    assistants: Assistants | None = None
    numbers: PublicNumbers = field(default_factory=PublicNumbers)
    started_at: float = field(default_factory=time.monotonic)

    async def calls(self) -> dict[str, int]:
        """Of this machine since its gateways started, by class of status."""
        return await self.peers.totals() if self.peers else self.metrics.totals()


def control_of(request: Request) -> ControlServices:
    """The services of the application that answers this request."""
    services = request.app.state.control
    if not isinstance(services, ControlServices):
        raise TypeError("the application was not made by build_control")
    return services


def operations_of(request: Request) -> Services:
    """What use cases act through."""
    return control_of(request).operations


Control = Annotated[ControlServices, Depends(control_of)]
Ops = Annotated[Services, Depends(operations_of)]

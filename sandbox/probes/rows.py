"""The catalogue: everything that hostile code is known to try, and what shows that it fails."""

from sandbox.probes.catalogue import (
    control,
    deploy,
    exhaustion,
    files,
    hop,
    kernel,
    network,
    tenancy,
)
from sandbox.probes.row import Row

ROWS: tuple[Row, ...] = (
    *exhaustion.ROWS,
    *kernel.ROWS,
    *files.ROWS,
    *network.ROWS,
    *hop.ROWS,
    *tenancy.ROWS,
    *deploy.ROWS,
    *control.ROWS,
)
INSIDE = tuple(row for row in ROWS if row.looks or row.hogs)

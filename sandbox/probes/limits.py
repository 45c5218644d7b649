"""What probes are given, and what their judge holds them to."""

from sandbox.types import Resources

RESOURCES = Resources(memory_mb=256, cpus=0.5, pids=64, tmp_mb=16)
SHM_MB = 8
FIRST_UID = 0x3000_0000  # users of sandboxes begin here

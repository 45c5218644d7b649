"""The user each sandbox runs as on the host: never root, and no two sandboxes the same."""

import zlib

NOBODY = 65534
FIRST_UID = 0x3000_0000  # far above what people, services and sub-id ranges are given
UIDS = 0x0FFF_FFFF


def uid_of(sandbox_id: str) -> int:
    """User and group id of a sandbox; follows from its id, so nothing has to be remembered."""
    return FIRST_UID + zlib.crc32(sandbox_id.encode()) % UIDS

"""The names of secrets that can be rotated; apart, because the command line needs no more."""

from enum import StrEnum


class Rotated(StrEnum):
    """What can be rotated, as the command calls it."""

    ADMIN_KEY = "admin-key"
    SIGNING = "token-key"
    SECRETS_KEY = "secrets-key"
    KEY_HASH = "key-hash"

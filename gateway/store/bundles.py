"""What a sandbox is given with its code: environment, egress and lock, secrets opened."""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from gateway.errors import SandgateError
from gateway.store.database import SERVICE, Database
from gateway.store.sealing import Seals, UnsealError
from sandbox.types import Bundle, EgressPolicy, Placeholder

_log = structlog.get_logger(__name__)


class SecretsUnreadableError(SandgateError):
    """A stored secret cannot be decrypted: the key is not the one it was stored under."""

    code, title = "secrets_unreadable", "Secrets cannot be decrypted"


@dataclass(frozen=True, slots=True, repr=False)
class OpenSecret:
    """A secret as it is used. With a placeholder the code sees that, the door the value."""

    value: str
    hosts: tuple[str, ...] = ()
    placeholder: str | None = None

    def __repr__(self) -> str:
        return f"OpenSecret(value=…, hosts={self.hosts})"


# What shall be there in place of what is stored, by name; None takes a secret away.
Instead = Mapping[str, OpenSecret | None]


class BundleStore:
    """Reads bundles as the service. `secrets_key` is the installation's, or says which are now."""

    def __init__(
        self, database: Database, secrets_key: bytes | Callable[[], Sequence[bytes]]
    ) -> None:
        self._database = database
        self._seal = Seals(
            (lambda: [secrets_key]) if isinstance(secrets_key, bytes) else secrets_key
        )

    async def bundle(self, version_id: str, instead: Instead | None = None) -> Bundle | None:
        """What a version's sandbox is given; None when it was deleted in the meantime."""
        row = await self._rpc("gateway_bundle", p_version_id=version_id)
        if row is None:
            return None
        secrets = self._opened(row["api_id"], row["secrets"], instead or {})
        return bundle_of(row["code"], row["lock"], row["egress"]["hosts"], secrets)

    async def bundle_for(self, api_id: str, code: str, lock: str) -> Bundle | None:
        """What code that is not stored yet is given; None when the API is gone."""
        row = await self._rpc("gateway_surroundings", p_api_id=api_id)
        if row is None:
            return None
        secrets = self._opened(api_id, row["secrets"], {})
        return bundle_of(code, lock, row["egress"]["hosts"], secrets)

    async def egress(self, api_id: str) -> EgressPolicy | None:
        """Where an API may connect to, with the secrets for the door; None when it is gone."""
        found = await self.bundle_for(api_id, "", "")
        return None if found is None else found.egress

    def seal(self, api_id: str, name: str, value: str) -> bytes:
        """Ciphertext of a secret of this API."""
        return self._seal.close(api_id, name, value)

    def _opened(
        self, api_id: str, stored: Iterable[Mapping[str, Any]], instead: Instead
    ) -> dict[str, OpenSecret]:
        found = {
            row["name"]: self._open(api_id, row) for row in stored if row["name"] not in instead
        }
        return found | {name: secret for name, secret in instead.items() if secret is not None}

    def _open(self, api_id: str, row: Mapping[str, Any]) -> OpenSecret:
        try:
            value = self._seal.open(api_id, row["name"], base64.b64decode(row["value"]))
        except UnsealError as error:
            _log.error("secret_unreadable", api_id=api_id, name=row["name"], reason=str(error))
            raise SecretsUnreadableError(
                f"The secret {row['name']} cannot be decrypted; set it again, "
                "or restore the key it was stored under."
            ) from error
        return OpenSecret(value, tuple(row["hosts"] or ()), row["placeholder"])

    async def _rpc(self, function: str, **arguments: object) -> Any:
        return await self._database.rpc(function, arguments, identity=SERVICE)


def bundle_of(
    code: str, lock: str, hosts: Sequence[str], secrets: Mapping[str, OpenSecret] | None = None
) -> Bundle:
    """Put together what one sandbox is given."""
    opened = secrets or {}
    return Bundle(
        code=code,
        environment={name: secret.placeholder or secret.value for name, secret in opened.items()},
        egress=EgressPolicy(
            tuple(hosts),
            {
                secret.placeholder: Placeholder(secret.value, secret.hosts)
                for secret in opened.values()
                if secret.placeholder is not None
            },
        ),
        lock=lock,
    )

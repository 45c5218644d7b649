"""Secrets of an API: set, list by name, delete. Nothing here ever answers a value."""

import re
import secrets as randomness
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog

from gateway.auth.permissions import Operation
from gateway.errors import InvalidInputError, NotFoundError, SandgateError
from gateway.operations import access
from gateway.operations.access import AllowedApi, Known
from gateway.operations.egress import checked_hosts
from gateway.operations.finish import finish
from gateway.operations.ports import Services
from gateway.operations.restart import (
    current,
    described,
    next_specs,
    rehearse_all,
    tell_egress,
    withdraw_all,
)
from gateway.store import api_secrets
from gateway.store.api_secrets import SealedSecret
from gateway.store.bundles import Instead, OpenSecret
from gateway.store.database import Row
from sandbox.types import SandboxSpec

_log = structlog.get_logger(__name__)
MAX_SECRETS = 64  # with 48 KiB together, as the database counts them
MAX_CHARACTERS = 16384
_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
# What the runner, the interpreter or the C library reads: a secret of that name would steer them.
_RESERVED_NAMES = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "TMPDIR", "TMP", "TEMP", "TZ", "TZDIR",
     "LANG", "LANGUAGE", "HOSTNAME", "IFS", "ENV", "BASH_ENV", "NLSPATH", "HOSTALIASES",
     "LOCALDOMAIN", "RES_OPTIONS", "GCONV_PATH", "GETCONF_DIR", "RESOLV_HOST_CONF",
     "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "OPENSSL_CONF",
     "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY", "NO_PROXY", "WS_PROXY", "WSS_PROXY"}
)  # fmt: skip
_RESERVED_STARTS = ("LD_", "PYTHON", "SSL_", "SANDGATE_", "MALLOC_", "GLIBC_", "LC_", "OPENSSL_")


class InvalidSecretError(InvalidInputError):
    """A name or value that no secret can have."""

    code, title = "invalid_secret", "Invalid secret"


class SecretNotFoundError(NotFoundError):
    """The API has no secret of this name."""

    code, title = "secret_not_found", "Secret not found"


@dataclass(frozen=True, slots=True)
class NewSecret:
    """Input of `set_secret`. With `hosts` the code sees a placeholder, those hosts the value."""

    value: str = field(repr=False)
    hosts: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret as everybody sees it: without its value."""

    name: str
    hosts: tuple[str, ...] | None
    placeholder: bool
    updated_at: str


@dataclass(frozen=True, slots=True)
class ChangedSecret:
    """A change that is stored; `restarted` when fresh sandboxes that know it are up.

    `failure` says why they are not, empty for an API that takes no calls at present.
    """

    name: str
    updated_at: str | None
    restarted: bool
    failure: str


async def list_secrets(services: Services, subject: Known, ref: str) -> list[Secret]:
    """Every secret of the API by name."""
    allowed = await access.require_api(services, subject, ref, Operation.READ_SECRETS)
    rows = await api_secrets.names(services.database, allowed.identity, allowed.id)
    return [
        Secret(
            name=row["name"],
            hosts=None if row["hosts"] is None else tuple(row["hosts"]),
            placeholder=row["hosts"] is not None,
            updated_at=row["updated_at"],
        )
        for row in rows
    ]


async def set_secret(
    services: Services, subject: Known, ref: str, name: str, new: NewSecret
) -> ChangedSecret:
    """Store it and start the API anew; stored it is also when the code does not start with it."""
    checked_name(name)
    size = _checked_value(new.value)
    hosts = None if new.hosts is None else _checked_hosts(new.hosts)
    allowed = await access.require_api(services, subject, ref, Operation.CHANGE_SECRETS)
    await access.require_running_tenant(services, subject, allowed.tenant_id)

    async def work() -> ChangedSecret:
        async with services.turns.of(str(allowed.id)):
            known = await api_secrets.placeholder(services.database, allowed.id, name)
            # one that the code may have kept somewhere goes on being the one
            placeholder = (known or f"sgph_{randomness.token_hex(16)}") if hosts else None
            sealed = services.bundles.seal(str(allowed.id), name, new.value)
            secret = SealedSecret(name, sealed, size, hosts, placeholder)
            opened = OpenSecret(new.value, tuple(hosts or ()), placeholder)
            actor = access.actor_of(subject)
            changed = await _change(
                services,
                allowed,
                {name: opened},
                lambda: api_secrets.put(services.database, allowed.id, secret, actor),
            )
            if known or hosts:
                await tell_egress(services, allowed.id)
            return changed

    return await finish(work())


async def delete_secret(services: Services, subject: Known, ref: str, name: str) -> ChangedSecret:
    """Forget it and start the API anew without it."""
    allowed = await access.require_api(services, subject, ref, Operation.CHANGE_SECRETS)
    await access.require_running_tenant(services, subject, allowed.tenant_id)

    async def work() -> ChangedSecret:
        async with services.turns.of(str(allowed.id)):
            rows = await api_secrets.names(services.database, allowed.identity, allowed.id)
            known = {row["name"]: row["hosts"] for row in rows}
            if name not in known:
                raise SecretNotFoundError
            actor = access.actor_of(subject)
            changed = await _change(
                services,
                allowed,
                {name: None},
                lambda: api_secrets.remove(services.database, allowed.id, name, actor),
            )
            if known[name]:
                await tell_egress(services, allowed.id)
            return changed

    return await finish(work())


def checked_name(name: str) -> str:
    """A name of capitals that means nothing to anything but the code."""
    if not _NAME.fullmatch(name):
        raise InvalidSecretError(
            "A name has 1 to 64 capital letters, digits and underscores, and no digit first"
        )
    if name in _RESERVED_NAMES or name.startswith(_RESERVED_STARTS):
        raise InvalidSecretError(
            f"{name} is reserved: it would change how the sandbox itself works"
        )
    return name


def _checked_value(value: str) -> int:
    """Its size in bytes."""
    if not 1 <= len(value) <= MAX_CHARACTERS:
        raise InvalidSecretError(f"A value has 1 to {MAX_CHARACTERS} characters")
    if "\0" in value:
        raise InvalidSecretError("A value cannot contain a NUL character")
    try:
        return len(value.encode())
    except UnicodeEncodeError as error:
        raise InvalidSecretError("A value must be text that UTF-8 can carry") from error


def _checked_hosts(hosts: Sequence[str]) -> list[str]:
    checked = checked_hosts(hosts)
    if not checked:
        raise InvalidSecretError("Name at least one host, or leave hosts out")
    return checked


async def _change(
    services: Services,
    allowed: AllowedApi,
    instead: Instead,
    store: Callable[[], Awaitable[Row]],
) -> ChangedSecret:
    """Fresh sandboxes first, then the change; the caller has the API's turn."""
    api = await current(services, allowed.id)
    specs = await next_specs(services, api)
    failure = await _started(services, specs, instead)
    try:
        row = await store()
    except BaseException:
        await withdraw_all(services, specs)
        raise
    services.changes.publish("api", str(allowed.id))
    if row["generation"] != api["generation"] + 1:  # another process was faster
        await withdraw_all(services, specs)
        specs = await next_specs(services, {**api, "generation": row["generation"] - 1})
        failure = await _started(services, specs, None)
    return ChangedSecret(
        name=row["name"],
        updated_at=row.get("updated_at"),
        restarted=bool(specs) and not failure,
        failure=failure,
    )


async def _started(
    services: Services, specs: Sequence[SandboxSpec], instead: Instead | None
) -> str:
    """Why they did not start, or nothing."""
    try:
        await rehearse_all(services, specs, instead)
    except SandgateError as error:
        _log.warning("api_not_restarted", code=error.code, specs=len(specs))
        return described(error)
    return ""

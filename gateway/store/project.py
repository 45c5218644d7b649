"""The Supabase project in place of our own Postgres, and opening the store on either."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from gateway.errors import SandgateError
from gateway.settings import Settings
from gateway.store import generations
from gateway.store.database import Database, DatabaseError, DatabaseUnavailableError
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.migrate import MIGRATIONS, read_migrations
from gateway.store.postgres import PostgresDatabase
from gateway.store.postgrest_keys import ProjectKeys
from gateway.store.project_schema import missing

if TYPE_CHECKING:  # an installation with a database of its own starts without a client for HTTP
    from gateway.store.postgrest import PostgrestDatabase

_LOOK_SECONDS = 10.0
_PUSH = "bring it there with: supabase link && supabase db push"


class ProjectError(SandgateError):
    """The project cannot be used as it is; `detail` says what to do."""

    code, title = "project_unusable", "The Supabase project cannot be used"


@dataclass(frozen=True, slots=True)
class Project:
    """Where a project is, and with what it is spoken to. `issuer` is what its tokens name."""

    url: str
    issuer: str
    keys: ProjectKeys

    @property
    def auth_url(self) -> str:
        """Of its Auth."""
        return f"{self.url}/auth/v1"

    def database(self, *, connections: int = 8, seconds: float = 8) -> "PostgrestDatabase":
        """A store on it."""
        from gateway.store.postgrest import PostgrestDatabase

        return PostgrestDatabase.connect(
            f"{self.url}/rest/v1", self.keys, connections=connections, seconds=seconds
        )


def project_of(settings: Settings) -> Project | None:
    """The project that the settings name; ProjectError when they do not fit together."""
    service = _text(settings.supabase_secret_key or settings.supabase_service_role_key)
    anon = _text(settings.supabase_anon_key)
    if settings.supabase_url is None:
        if service is not None or anon is not None:
            raise ProjectError("a key of a project is set, but not SUPABASE_URL")
        return None
    if service is None:
        raise ProjectError("SUPABASE_URL needs SUPABASE_SERVICE_ROLE_KEY or SUPABASE_SECRET_KEY")
    if _role(service) == "anon":
        raise ProjectError("the service key is the public key of the project; take the secret one")
    if anon is not None and _role(anon) == "service_role":
        raise ProjectError("SUPABASE_ANON_KEY is the secret key of the project; it may be shown")
    url = settings.supabase_url.rstrip("/")
    public = (settings.supabase_public_url or url).rstrip("/")
    return Project(url, f"{public}/auth/v1", ProjectKeys(service, anon))


@asynccontextmanager
async def opened(
    settings: Settings, *, connections: int = 8, seconds: float = 8
) -> AsyncIterator[Database]:
    """The store, wherever it is."""
    project = project_of(settings)
    if project is not None:
        async with project.database(connections=connections, seconds=seconds) as database:
            yield database
        return
    async with await PostgresDatabase.connect(
        EmbeddedPostgres(settings.data_dir).socket_dir, connections=connections, seconds=seconds
    ) as database:
        yield database


async def check_project(project: Project) -> int:
    """Whether the project answers, takes our key and has our schema; its generation."""
    async with project.database(connections=1, seconds=_LOOK_SECONDS) as database:
        try:
            generation = await generations.current(database)
            offered = await database.offered()
        except DatabaseError as error:
            if error.sqlstate != "PGRST202":
                raise ProjectError(f"{project.url} refuses: {error.message}") from error
            raise ProjectError(f"{project.url} does not have our schema; {_PUSH}") from error
        except DatabaseUnavailableError as error:
            raise ProjectError(
                f"{project.url} does not answer, or does not take the service key"
            ) from error
    behind = [] if offered is None else missing(read_migrations(MIGRATIONS), offered)
    if behind:
        raise ProjectError(f"{project.url} lacks the migration {', '.join(behind)}; {_PUSH}")
    return generation


def _text(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _role(key: str) -> str:
    """What a key says of itself; nothing depends on it but an early error."""
    if key.startswith("sb_"):
        return "anon" if key.startswith("sb_publishable_") else "service_role"
    try:
        part = key.split(".")[1]
        claims: Any = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return str(claims["role"])
    except (IndexError, KeyError, TypeError, ValueError):
        return ""

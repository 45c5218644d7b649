"""The control plane over a real database, with sandboxes in memory."""

import json
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import httpx

from gateway.auth.subject import User
from gateway.control.build import build_control
from gateway.control.services import ControlServices
from gateway.errors import UnauthorizedError
from gateway.key_hashes import HashSecret, HashSecrets
from gateway.limits.memory import MemoryLimiter
from gateway.metrics import Metrics
from gateway.operations.ports import Services
from gateway.store.bundles import BundleStore
from gateway.store.database import Database
from tests.support.factories import Person, make_user
from tests.support.sandboxes import MemorySandboxes
from tests.support.scripted_turns import OneAssistant

ADMIN_KEY = "the-admin-key-of-this-test"
KEY_SECRET = b"secret for the hashes of keys"
SECRETS_KEY = b"the key for secrets of this test"
BASE = "http://sandgate.test:8000"


@dataclass(slots=True)
class RecordedChanges:
    """What was published, in order."""

    published: list[tuple[str, str]] = field(default_factory=list)

    def publish(self, kind: str, identifier: str, /) -> None:
        """Remember it."""
        self.published.append((kind, identifier))


@dataclass(slots=True)
class KeptMail:
    """What was sent, as (to, subject, text); `works` false is a post that takes nothing."""

    sent: list[tuple[str, str, str]] = field(default_factory=list)
    works: bool = True

    async def send(self, to: str, subject: str, text: str) -> bool:
        """Keep it."""
        if self.works:
            self.sent.append((to, subject, text))
        return self.works


@dataclass(slots=True)
class KnownSessions:
    """Tokens of the people of this test."""

    users: dict[str, User] = field(default_factory=dict)

    async def verify(self, token: str) -> User:
        """The person of a token."""
        if token not in self.users:
            raise UnauthorizedError
        return self.users[token]


class World:
    """People, services and clients of one test."""

    def __init__(self, database: Database, dsn: str) -> None:
        self.database = database
        self.dsn = dsn
        self.now = 1_800_000_000.0
        self.sandboxes = MemorySandboxes()
        self.changes = RecordedChanges()
        self.mail = KeptMail()
        self.sessions = KnownSessions()
        self.assistants = OneAssistant(None)
        self.limiter = MemoryLimiter(lambda: self.now)
        self.bundles = BundleStore(database, SECRETS_KEY)
        self.services = Services(
            database=database,
            bundles=self.bundles,
            sandboxes=self.sandboxes,
            changes=self.changes,
            usage=self.limiter,
            clock=lambda: self.now,
            hash_secrets=lambda: HashSecrets(HashSecret(KEY_SECRET)),
            code_bytes=100_000,
            mailer=self.mail,
        )
        self.app = build_control(
            ControlServices(
                operations=self.services,
                sessions=self.sessions,
                admin_key=ADMIN_KEY,
                metrics=Metrics(),
                version="0.0.1",
                assistants=self.assistants,
            )
        )

    async def person(self, *, is_admin: bool = False) -> Person:
        """Somebody who is signed in; their id is their token."""
        person = await make_user(self.dsn, is_admin=is_admin)
        self.sessions.users[person.id] = subject_of(person, is_admin)
        return person

    def user(self, person: Person) -> User:
        """The same person as a subject."""
        return self.sessions.users[person.id]

    def client(self, person: Person | None = None) -> httpx.AsyncClient:
        """A client of this person, or of nobody."""
        return self._client({} if person is None else {"Authorization": f"Bearer {person.id}"})

    def admin(self) -> httpx.AsyncClient:
        """A client with the admin key."""
        return self._client({"X-API-Key": ADMIN_KEY})

    def _client(self, headers: dict[str, str]) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url=BASE, headers=headers, timeout=30
        )


def subject_of(person: Person, is_admin: bool) -> User:
    """As the session of this person would be verified."""
    claims = {"sub": person.id, "role": "authenticated", "email": person.email}
    return User(UUID(person.id), person.email, uuid4(), is_admin, json.dumps(claims))

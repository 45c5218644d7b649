"""With what a statement is sent to a Supabase project: as whom it then runs."""

from dataclasses import dataclass

from gateway.store.database import Identity


@dataclass(frozen=True, slots=True, repr=False)
class ProjectKeys:
    """The project's own keys, opaque (`sb_…`) or JWT."""

    service: str
    anon: str | None = None

    def headers(self, identity: Identity) -> dict[str, str]:
        """Never more than the identity may: without its own proof nothing is sent."""
        if identity.role == "service_role":
            return key_headers(self.service)
        if identity.role == "anon":
            if self.anon is None:
                # a bare service key would be taken for the service itself
                raise ValueError("a statement as nobody needs SUPABASE_ANON_KEY")
            return key_headers(self.anon)
        if not identity.token:
            raise ValueError("a person's statement needs the person's own token")
        return user_headers(self, identity.token)


def key_headers(key: str) -> dict[str, str]:
    """An opaque key belongs into `apikey` alone, a JWT into both."""
    headers = {"apikey": key}
    if key.count(".") == 2:
        headers["Authorization"] = f"Bearer {key}"
    return headers


def user_headers(keys: ProjectKeys, token: str) -> dict[str, str]:
    """A person's own token; the key beside it only opens the door."""
    return {"apikey": keys.anon or keys.service, "Authorization": f"Bearer {token}"}

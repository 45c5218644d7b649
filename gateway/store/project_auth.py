"""The Auth of a Supabase project, as far as an installation has to do with it as the service."""

from uuid import UUID

import httpx

from gateway.errors import InvalidInputError
from gateway.store.database import DatabaseUnavailableError
from gateway.store.postgrest_keys import key_headers
from gateway.store.project import Project

_SECONDS = 20.0  # passwords are hashed there
_TAKEN = ("email_exists", "user_already_exists")


class ProjectAuth:
    """Adds and removes people and sets passwords, with the service key."""

    def __init__(self, project: Project) -> None:
        self._url = f"{project.auth_url}/admin/users"
        self._headers = key_headers(project.keys.service)

    async def add(self, email: str, password: str) -> UUID | None:
        """A new person with a confirmed address; None when the address is taken."""
        body = {"email": email, "password": password, "email_confirm": True}
        answer = await self._send("POST", self._url, body)
        if answer.status_code == 422 and _code(answer) in _TAKEN:
            return None
        return UUID(str(_good(answer).json()["id"]))

    async def set_password(self, user_id: UUID, password: str) -> None:
        """Of somebody who is there."""
        _good(await self._send("PUT", f"{self._url}/{user_id}", {"password": password}))

    async def remove(self, user_id: UUID) -> None:
        """With all that is theirs; who is gone already stays gone."""
        answer = await self._send("DELETE", f"{self._url}/{user_id}", {})
        if answer.status_code != 404:
            _good(answer)

    async def _send(self, method: str, url: str, body: dict[str, object]) -> httpx.Response:
        try:
            async with httpx.AsyncClient(timeout=_SECONDS, headers=self._headers) as http:
                return await http.request(method, url, json=body)
        except httpx.HTTPError as error:
            raise DatabaseUnavailableError("The project's Auth does not answer.") from error


def _good(answer: httpx.Response) -> httpx.Response:
    if answer.status_code >= 500:
        raise DatabaseUnavailableError("The project's Auth does not answer.")
    if not answer.is_success:
        raise InvalidInputError(f"The project's Auth refuses: {answer.status_code} {_code(answer)}")
    return answer


def _code(answer: httpx.Response) -> str:
    """Of either shape of its errors."""
    try:
        found = answer.json()
        return str(found.get("error_code") or found.get("code") or "")
    except (AttributeError, ValueError):
        return ""

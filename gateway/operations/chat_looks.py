"""What the assistant may look up: the asking person's own things, as that person, and no more."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any

from gateway.auth.subject import User
from gateway.errors import SandgateError
from gateway.operations import apis, keys, logs, usage, versions
from gateway.operations.ports import Services
from generator.chat import Helper, ToolRefused
from generator.llm.base import Tool

_MANY = 50
_LINES = 60
Look = Callable[[Mapping[str, Any]], Awaitable[object]]


def looks(services: Services, person: User) -> list[Helper]:
    """Each reads under row-level security; none shows a secret, since none is stored readable."""
    api = {"api": {"type": "string", "description": "id or slug of one of the user's APIs"}}
    days = {"days": {"type": "integer", "description": "how many days back, 1 to 90"}}

    async def list_apis(_: Mapping[str, Any]) -> object:
        found = await apis.list_apis(services, person, None, _MANY, 0)
        return [
            {"id": one.id, "slug": one.slug, "name": one.name, "status": one.status,
             "versions": [asdict(active) for active in one.versions]}
            for one in found
        ]  # fmt: skip

    async def read_api(given: Mapping[str, Any]) -> object:
        return asdict(await apis.read_api(services, person, api_of(given)))

    async def list_versions(given: Mapping[str, Any]) -> object:
        found = await versions.list_versions(services, person, api_of(given), _MANY, 0)
        return [asdict(one) for one in found]

    async def read_usage(given: Mapping[str, Any]) -> object:
        back = given.get("days", 7)
        if not isinstance(back, int) or isinstance(back, bool) or not 1 <= back <= 90:
            raise ToolRefused("days is a whole number from 1 to 90.")
        return asdict(await usage.api_analytics(services, person, api_of(given), back))

    async def read_limits(_: Mapping[str, Any]) -> object:
        return [asdict(one) for one in await usage.limit_usage(services, person)]

    async def list_keys(given: Mapping[str, Any]) -> object:
        found = await keys.list_keys(services, person, api_of(given), _MANY, 0)
        return [
            {"id": one.id, "name": one.name, "display": one.display, "scopes": one.scopes,
             "expires_at": one.expires_at, "revoked_at": one.revoked_at,
             "last_used_at": one.last_used_at}
            for one in found
        ]  # fmt: skip

    async def read_log(given: Mapping[str, Any]) -> object:
        found = await logs.read_logs(services, person, api_of(given), _LINES)
        return [{"at": line.at, "stream": line.stream, "text": line.text} for line in found]

    return [
        _helper("list_apis", "The user's APIs with their status and live versions.", {}, list_apis),
        _helper("read_api", "Settings, limits and status of one API.", api, read_api),
        _helper("list_versions", "Versions of one API, newest first.", api, list_versions),
        _helper("read_usage", "Calls, errors and latency of one API.", api | days, read_usage),
        _helper("read_limits", "Plan and what is left of its limits.", {}, read_limits),
        _helper("list_keys", "Keys of one API, without their secrets.", api, list_keys),
        _helper("read_log", "What one API's code wrote last.", api, read_log),
    ]


def api_of(given: Mapping[str, Any]) -> str:
    """The API that the model named; ToolRefused when it named none."""
    ref = given.get("api")
    if not isinstance(ref, str) or not ref:
        raise ToolRefused("api is the id or slug of an API.")
    return ref


def _helper(name: str, text: str, fields: dict[str, Any], look: Look) -> Helper:
    required = [field for field in fields if field != "days"]
    schema = {
        "type": "object",
        "properties": fields,
        "required": required,
        "additionalProperties": False,
    }
    return Helper(Tool(name, text, schema), told(look))


def told(look: Look) -> Look:
    """The same, with a failure told to the model instead of ending the conversation."""

    async def run(given: Mapping[str, Any]) -> object:
        try:
            return await look(given)
        except SandgateError as error:
            raise ToolRefused(f"{error.code}: {error.detail}") from error

    return run

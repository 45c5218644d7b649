"""The second half of a sign-in, for who has a second factor."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from gateway.cli.client.server import Server, content, unlike_sandgate

AskCode = Callable[[str], str]


def confirmed(server: Server, answer: Mapping[str, Any], ask: AskCode) -> Mapping[str, Any]:
    """The session that both factors opened; the one given when the person has no second.

    `ask` gets the name of the factor and answers its code. `Any`: it is JSON.
    """
    try:
        factor = _verified(answer)
        if factor is None:
            return answer
        path, token = f"/auth/v1/factors/{UUID(factor['id'])}", str(answer["access_token"])
        challenge = content(server.send("POST", f"{path}/challenge", json={}, token=token))
        name = str(factor.get("friendly_name") or "your app")
        code = ask("".join(filter(str.isprintable, name)))
        body = {"challenge_id": challenge["id"], "code": code}
        return content(server.send("POST", f"{path}/verify", json=body, token=token))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise unlike_sandgate(server.url) from error


def _verified(answer: Mapping[str, Any]) -> Mapping[str, Any] | None:
    factors = (answer.get("user") or {}).get("factors") or []
    return next((factor for factor in factors if factor.get("status") == "verified"), None)

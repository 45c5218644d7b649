"""The endpoints of second factors: parse, ask, answer."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.auth.issuer import totp
from gateway.auth.issuer.documents import session_document
from gateway.auth.issuer.errors import CodeRefusedError, ValidationError
from gateway.auth.issuer.factors import Factors
from gateway.auth.issuer.rendering import answer
from gateway.auth.issuer.requests import name_of, origin_of, read_object, text_of, uuid_of
from gateway.store.auth_users import AuthSession

_PRODUCT = "Sandgate"


class FactorEndpoints:
    """One method per endpoint; `session` finds who asks."""

    def __init__(
        self, factors: Factors, session: Callable[[Request], Awaitable[AuthSession]]
    ) -> None:
        self._factors = factors
        self._session = session

    def routes(self) -> list[Route]:
        """What is served below the issuer's root."""
        return [
            Route("/factors", self.enrol, methods=["POST"]),
            Route("/factors/{factor_id:uuid}", self.remove, methods=["DELETE"]),
            Route("/factors/{factor_id:uuid}/challenge", self.challenge, methods=["POST"]),
            Route("/factors/{factor_id:uuid}/verify", self.verify, methods=["POST"]),
        ]

    async def enrol(self, request: Request) -> Response:
        """`POST /factors`: the secret and its QR code, told once."""
        session, body = await self._session(request), await read_object(request)
        if body.get("factor_type") != "totp":
            raise ValidationError("factor_type needs to be totp")
        enrolment = await self._factors.enrol(
            session, name_of(body, "friendly_name"), name_of(body, "issuer") or _PRODUCT
        )
        return answer(
            {
                "id": str(enrolment.id),
                "type": "totp",
                "friendly_name": enrolment.name,
                "totp": {
                    "qr_code": totp.qr_code(enrolment.uri),
                    "secret": enrolment.secret,
                    "uri": enrolment.uri,
                },
            }
        )

    async def challenge(self, request: Request) -> Response:
        """`POST /factors/{id}/challenge`."""
        session = await self._session(request)
        challenge_id, expires_at = await self._factors.challenge(
            session, _factor_id(request), origin_of(request)
        )
        return answer({"id": str(challenge_id), "type": "totp", "expires_at": expires_at})

    async def verify(self, request: Request) -> Response:
        """`POST /factors/{id}/verify`: a Session with both factors."""
        session, body = await self._session(request), await read_object(request)
        challenge_id, code = uuid_of(body, "challenge_id"), _code_of(body)
        grant = await self._factors.verify(session, _factor_id(request), challenge_id, code)
        return answer(session_document(grant))

    async def remove(self, request: Request) -> Response:
        """`DELETE /factors/{id}`."""
        factor_id = _factor_id(request)
        await self._factors.remove(await self._session(request), factor_id)
        return answer({"id": str(factor_id)})


def _factor_id(request: Request) -> UUID:
    return UUID(str(request.path_params["factor_id"]))


def _code_of(body: Mapping[str, Any]) -> str:
    """Spaces are how apps show codes. `Any`: it is JSON."""
    code = text_of(body, "code").replace(" ", "")
    if not code:
        raise CodeRefusedError
    return code

"""The endpoints of mailed tokens: parse, ask, answer."""

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.auth.issuer.documents import Grant, session_document
from gateway.auth.issuer.errors import AuthError, OtpExpiredError, PhoneDisabledError
from gateway.auth.issuer.errors import ValidationError as NotValidError
from gateway.auth.issuer.letters import Kind, kinds_of
from gateway.auth.issuer.links import Links, Redeemed, Wish
from gateway.auth.issuer.pkce import challenge_of
from gateway.auth.issuer.redirects import with_fragment, with_query
from gateway.auth.issuer.rendering import answer
from gateway.auth.issuer.requests import (
    email_of,
    metadata_of,
    origin_of,
    read_object,
    text_of,
)
from gateway.auth.issuer.tokens import ACCESS_SECONDS

_TOKEN_CHARACTERS = 128
_HALF = "Confirmation link accepted. Please proceed to confirm link sent to the other email"


class LinkEndpoints:
    """One method per endpoint."""

    def __init__(self, links: Links, *, signup: bool) -> None:
        self._links = links
        self._signup = signup

    def routes(self) -> list[Route]:
        """What is served below the issuer's root."""
        return [
            Route("/recover", self.recover, methods=["POST"]),
            Route("/otp", self.otp, methods=["POST"]),
            Route("/magiclink", self.otp, methods=["POST"]),
            Route("/resend", self.resend, methods=["POST"]),
            Route("/verify", self.open, methods=["GET"]),
            Route("/verify", self.verify, methods=["POST"]),
        ]

    async def recover(self, request: Request) -> Response:
        """`POST /recover`: {}, whoever the address is of."""
        body = await read_object(request)
        self._links.send(Kind.RECOVERY, _email_of(body), origin_of(request), wish_of(request, body))
        return answer({})

    async def otp(self, request: Request) -> Response:
        """`POST /otp`: {}, whoever the address is of."""
        body = await read_object(request)
        create = body.get("create_user", True)
        if not isinstance(create, bool):
            raise NotValidError("create_user must be a boolean")
        metadata = metadata_of(body)
        self._links.send_magic(
            _email_of(body),
            origin_of(request),
            wish_of(request, body),
            metadata if create and self._signup else None,
        )
        return answer({})

    async def resend(self, request: Request) -> Response:
        """`POST /resend`: {}, whatever was sent before."""
        body = await read_object(request)
        email, origin, wish = _email_of(body), origin_of(request), wish_of(request, body)
        match body.get("type"):
            case "signup":
                self._links.send(Kind.SIGNUP, email, origin, wish)
            case "email_change":
                self._links.send_change(email, origin, wish)
            case _:
                raise NotValidError("type must be signup or email_change")
        return answer({})

    async def verify(self, request: Request) -> Response:
        """`POST /verify`: a Session for the token of a link or the code of a letter."""
        body = await read_object(request)
        kinds = kinds_of(text_of(body, "type"))
        if body.get("phone"):
            raise PhoneDisabledError
        if not kinds:
            raise NotValidError("Verify requires a verification type")
        origin = origin_of(request)
        if body.get("token_hash") is not None:
            token = _token_of(text_of(body, "token_hash"))
            return _told(await self._links.redeem(token, kinds, origin))
        code = text_of(body, "token")
        return _told(await self._links.redeem_code(email_of(body), code, kinds, origin))

    async def open(self, request: Request) -> Response:
        """`GET /verify`: to the page that asked for the link, with what it may have."""
        if request.method != "GET":  # whoever only looks at a link must not use it up
            raise HTTPException(405, headers={"Allow": "GET, POST"})
        query = request.query_params
        target = self._links.redirects.target(query.get("redirect_to"))
        try:
            token, kinds = _token_of(query.get("token", "")), kinds_of(query.get("type", ""))
            redeemed = await self._links.open(token, kinds, origin_of(request))
        except AuthError as error:
            return _to(with_fragment(target, _failure(error)))
        if redeemed.code is not None:
            return _to(with_query(target, {"code": redeemed.code}))
        if redeemed.grant is None:
            return _to(with_fragment(target, {"message": _HALF}))
        return _to(with_fragment(target, _tokens(redeemed.grant, query.get("type", ""))))


def wish_of(request: Request, body: Mapping[str, Any]) -> Wish:
    """Where a link shall lead, and who alone may use it. `Any`: it is JSON."""
    return Wish(request.query_params.get("redirect_to"), challenge_of(body))


def _email_of(body: Mapping[str, Any]) -> str:
    if not body.get("email") and body.get("phone"):
        raise PhoneDisabledError
    return email_of(body)


def _token_of(token: str) -> str:
    if not 0 < len(token) <= _TOKEN_CHARACTERS or not token.isascii():
        raise OtpExpiredError
    return token


def _told(redeemed: Redeemed) -> Response:
    if redeemed.grant is None:
        return answer({"user": None, "msg": _HALF, "code": "200"})
    return answer(session_document(redeemed.grant))


def _tokens(grant: Grant, wire: str) -> dict[str, str]:
    return {
        "access_token": grant.access_token,
        "expires_at": str(grant.issued_at + ACCESS_SECONDS),
        "expires_in": str(ACCESS_SECONDS),
        "refresh_token": grant.refresh_token,
        "token_type": "bearer",
        "type": wire,
    }


def _failure(error: AuthError) -> dict[str, str]:
    return {
        "error": "access_denied",
        "error_code": error.code,
        "error_description": error.detail,
    }


def _to(target: str) -> Response:
    return RedirectResponse(
        target, 303, headers={"cache-control": "no-store", "referrer-policy": "no-referrer"}
    )

"""The issuer's endpoints: parse, ask the service, answer."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.auth.issuer.documents import Grant, session_document, settings_document, user_document
from gateway.auth.issuer.errors import (
    AnonymousDisabledError,
    FlowNotFoundError,
    NoAuthorizationError,
    PhoneDisabledError,
    RefreshTokenNotFoundError,
    UnsupportedError,
    ValidationError,
    WeakPasswordError,
)
from gateway.auth.issuer.link_endpoints import wish_of
from gateway.auth.issuer.rendering import answer
from gateway.auth.issuer.requests import (
    email_of,
    metadata_of,
    origin_of,
    read_object,
    text_of,
)
from gateway.auth.issuer.service import Changes, Issuer, Scope, check_assurance
from gateway.auth.issuer.tokens import AccessTokens
from gateway.auth.sessions import bearer
from gateway.store.auth_users import AuthSession

_REFRESH_CHARACTERS = 512


def jwks_route(tokens: AccessTokens) -> Route:
    """The public keys, for the issuer and for the root of the site alike."""

    async def jwks(_: Request) -> Response:
        return JSONResponse(tokens.jwks(), headers={"cache-control": "public, max-age=600"})

    return Route("/.well-known/jwks.json", jwks)


class Endpoints:
    """One method per endpoint."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer

    def routes(self) -> list[Route]:
        """What is served below the issuer's root."""
        return [
            Route("/signup", self.sign_up, methods=["POST"]),
            Route("/token", self.token, methods=["POST"]),
            Route("/user", self.read_user, methods=["GET"]),
            Route("/user", self.change_user, methods=["PUT"]),
            Route("/logout", self.sign_out, methods=["POST"]),
            Route("/settings", self.settings, methods=["GET"]),
            Route("/health", self.health, methods=["GET"]),
            jwks_route(self._issuer.tokens),
        ]

    async def sign_up(self, request: Request) -> Response:
        """`POST /signup`: a Session at once, or the User when the address is to be confirmed."""
        body = await read_object(request)
        if not body.get("email"):
            raise PhoneDisabledError if body.get("phone") else AnonymousDisabledError
        if not body.get("password"):
            raise WeakPasswordError("Signup requires a valid password", ["length"])
        made = await self._issuer.sign_up(
            email_of(body),
            text_of(body, "password"),
            metadata_of(body),
            origin_of(request),
            wish_of(request, body),
        )
        if isinstance(made, Grant):
            return answer(session_document(made))
        return answer(user_document(made))

    async def token(self, request: Request) -> Response:
        """`POST /token?grant_type=…`: a Session."""
        match request.query_params.get("grant_type"):
            case "password":
                return await self._by_password(request)
            case "refresh_token":
                return await self._by_refresh_token(request)
            case "pkce":
                return await self._by_code(request)
            case _:
                raise ValidationError("unsupported_grant_type")

    async def read_user(self, request: Request) -> Response:
        """`GET /user`."""
        session = await self.session(request)
        return answer(user_document(session.account))

    async def change_user(self, request: Request) -> Response:
        """`PUT /user`: password and data; an address counts when its mailbox has agreed."""
        session = await self.session(request)
        body = await read_object(request)
        email = self._new_email(body, session, request)
        changes = Changes(
            password=_optional_text(body, "password"),
            current_password=_optional_text(body, "current_password"),
            metadata=metadata_of(body) if body.get("data") is not None else None,
            email=email,
            wish=wish_of(request, body),
        )
        return answer(user_document(await self._issuer.change(session, changes)))

    async def sign_out(self, request: Request) -> Response:
        """`POST /logout?scope=…`: 204."""
        try:
            scope = Scope(request.query_params.get("scope", "global"))
        except ValueError as error:
            raise ValidationError("Unsupported logout scope") from error
        await self._issuer.sign_out(await self.session(request), scope)
        return Response(status_code=204, headers={"cache-control": "no-store"})

    async def settings(self, _: Request) -> Response:
        """`GET /settings`."""
        return JSONResponse(
            settings_document(
                signup=self._issuer.signup, confirm=self._issuer.confirming is not None
            )
        )

    async def health(self, _: Request) -> Response:
        """`GET /health`: the issuer answers."""
        return JSONResponse({"name": "sandgate", "description": "Sandgate's embedded issuer"})

    async def _by_password(self, request: Request) -> Response:
        body = await read_object(request)
        if not body.get("email"):
            raise PhoneDisabledError if body.get("phone") else ValidationError("missing email")
        grant = await self._issuer.sign_in(
            email_of(body), text_of(body, "password"), origin_of(request)
        )
        return answer(session_document(grant))

    async def _by_refresh_token(self, request: Request) -> Response:
        token = text_of(await read_object(request), "refresh_token")
        if not 0 < len(token) <= _REFRESH_CHARACTERS or not token.isascii():
            raise RefreshTokenNotFoundError
        grant = await self._issuer.refresh(token, origin_of(request))
        return answer(session_document(grant))

    async def _by_code(self, request: Request) -> Response:
        body = await read_object(request)
        code, verifier = text_of(body, "auth_code"), text_of(body, "code_verifier")
        if not code.isascii():
            raise FlowNotFoundError
        grant = await self._issuer.exchange(code, verifier, origin_of(request))
        return answer(session_document(grant))

    def _new_email(
        self, body: Mapping[str, Any], session: AuthSession, request: Request
    ) -> str | None:
        """The address to change to; sending the same one again is fine. `Any`: it is JSON."""
        if body.get("phone"):
            raise UnsupportedError("Telephone numbers are not supported")
        email = email_of(body) if body.get("email") else None
        if email is None or email == session.account.email:
            return None
        check_assurance(session)
        self._issuer.links.admit(email, origin_of(request))
        return email

    async def session(self, request: Request) -> AuthSession:
        """Who asks, by their access token."""
        token = bearer(request.headers.get("authorization"))
        if token is None:
            raise NoAuthorizationError
        return await self._issuer.session(token)


def _optional_text(body: Mapping[str, Any], name: str) -> str | None:
    return text_of(body, name) if body.get(name) is not None else None

"""The endpoints for holders of the admin key: parse, ask, answer."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.auth.admin_key import AdminKey, is_admin_key
from gateway.auth.issuer.attempts import Allowance, Attempts, address_subject
from gateway.auth.issuer.documents import factor_documents, user_document
from gateway.auth.issuer.errors import (
    NoAuthorizationError,
    NotAdminError,
    UnsupportedError,
    ValidationError,
)
from gateway.auth.issuer.foreign_hashes import check_foreign
from gateway.auth.issuer.letters import WIRE, Kind
from gateway.auth.issuer.link_endpoints import wish_of
from gateway.auth.issuer.people import People, Wanted, duration_of
from gateway.auth.issuer.rendering import answer
from gateway.auth.issuer.requests import (
    email_of,
    flag_of,
    object_of,
    origin_of,
    read_object,
    text_of,
    uuid_of,
)
from gateway.auth.sessions import bearer

_PER_PAGE = 50
_MOST_PER_PAGE = 1000
_PAGES = 1_000_000
_KINDS = {
    "signup": Kind.SIGNUP,
    "invite": Kind.INVITE,
    "magiclink": Kind.MAGIC,
    "recovery": Kind.RECOVERY,
    "email_change_current": Kind.OLD_ADDRESS,
    "email_change_new": Kind.NEW_ADDRESS,
}


class PeopleEndpoints:
    """One method per endpoint; all of them want the admin key."""

    def __init__(
        self, people: People, *, admin_key: AdminKey, attempts: Attempts, wrong_keys: int
    ) -> None:
        self._people = people
        self._admin_key = admin_key
        self._attempts = attempts
        self._wrong_keys = wrong_keys

    def routes(self) -> list[Route]:
        """What is served below the issuer's root."""
        one, factors = "/admin/users/{user_id:uuid}", "/admin/users/{user_id:uuid}/factors"
        return [
            self._route("/admin/users", "GET", self.page),
            self._route("/admin/users", "POST", self.create),
            self._route(one, "GET", self.read),
            self._route(one, "PUT", self.update),
            self._route(one, "DELETE", self.delete),
            self._route(factors, "GET", self.factors),
            self._route(f"{factors}/{{factor_id:uuid}}", "DELETE", self.remove_factor),
            self._route("/admin/generate_link", "POST", self.generate_link),
            self._route("/invite", "POST", self.invite),
        ]

    async def page(self, request: Request) -> Response:
        """`GET /admin/users?page=&per_page=`."""
        page = _number(request, "page", 1, _PAGES)
        per_page = _number(request, "per_page", _PER_PAGE, _MOST_PER_PAGE)
        accounts, total = await self._people.page(page, per_page)
        response = answer(
            {"users": [user_document(account) for account in accounts], "aud": "authenticated"}
        )
        last = max(1, -(-total // per_page))
        response.headers["x-total-count"] = str(total)
        response.headers["link"] = _links(page, last, per_page)
        return response

    async def create(self, request: Request) -> Response:
        """`POST /admin/users`."""
        wanted = wanted_of(await read_object(request), metadata="user_metadata")
        return answer(user_document(await self._people.create(wanted)))

    async def read(self, request: Request) -> Response:
        """`GET /admin/users/{id}`."""
        return answer(user_document(await self._people.get(_id(request, "user_id"))))

    async def update(self, request: Request) -> Response:
        """`PUT /admin/users/{id}`."""
        wanted = wanted_of(await read_object(request), metadata="user_metadata")
        account = await self._people.update(_id(request, "user_id"), wanted)
        return answer(user_document(account))

    async def delete(self, request: Request) -> Response:
        """`DELETE /admin/users/{id}`: for good."""
        has_body = "transfer-encoding" in request.headers
        if request.headers.get("content-length", "0") != "0" or has_body:
            body = await read_object(request)
        else:
            body = {}
        if flag_of(body, "should_soft_delete"):
            raise UnsupportedError("People are deleted for good; ban who shall come back")
        await self._people.delete(_id(request, "user_id"))
        return answer({})

    async def factors(self, request: Request) -> Response:
        """`GET /admin/users/{id}/factors`."""
        account = await self._people.get(_id(request, "user_id"))
        return JSONResponse(factor_documents(account), headers={"cache-control": "no-store"})

    async def remove_factor(self, request: Request) -> Response:
        """`DELETE /admin/users/{id}/factors/{id}`."""
        factor_id = _id(request, "factor_id")
        await self._people.remove_factor(_id(request, "user_id"), factor_id)
        return answer({"id": str(factor_id)})

    async def generate_link(self, request: Request) -> Response:
        """`POST /admin/generate_link`: the person and the link, which is not mailed."""
        body = await read_object(request)
        kind = _KINDS.get(text_of(body, "type"))
        if kind is None:
            raise ValidationError("type must be one of " + ", ".join(_KINDS))
        new_email = email_of({"email": body["new_email"]}) if body.get("new_email") else None
        account, link = await self._people.link(
            kind, wanted_of(body, metadata="data"), new_email, wish_of(request, body)
        )
        return answer(
            {
                **user_document(account),
                "action_link": link.url,
                "email_otp": link.code,
                "hashed_token": link.token,
                "redirect_to": link.redirect_to,
                "verification_type": body["type"] if WIRE[kind] == "email_change" else WIRE[kind],
            }
        )

    async def invite(self, request: Request) -> Response:
        """`POST /invite`: the person, who gets a letter."""
        body = await read_object(request)
        account = await self._people.invite(
            wanted_of(body, metadata="data"), wish_of(request, body)
        )
        return answer(user_document(account))

    def _route(
        self, path: str, method: str, endpoint: Callable[[Request], Awaitable[Response]]
    ) -> Route:
        async def guarded(request: Request) -> Response:
            self._check(request)
            return await endpoint(request)

        return Route(path, guarded, methods=[method])

    def _check(self, request: Request) -> None:
        token = bearer(request.headers.get("authorization")) or request.headers.get("apikey")
        if not token:
            raise NoAuthorizationError
        allowance = Allowance(address_subject(origin_of(request).address), self._wrong_keys)
        with self._attempts.counted([allowance], (NotAdminError,)):
            if not is_admin_key(self._admin_key, token):
                raise NotAdminError


def wanted_of(body: Mapping[str, Any], *, metadata: str) -> Wanted:
    """What a person shall be like. `Any`: it is JSON."""
    if body.get("phone"):
        raise UnsupportedError("Telephone numbers are not supported")
    if body.get("role") not in (None, "", "authenticated"):
        raise ValidationError("role must be authenticated")
    return Wanted(
        id=uuid_of(body, "id") if body.get("id") is not None else None,
        email=email_of(body) if body.get("email") is not None else None,
        password=text_of(body, "password") if body.get("password") else None,
        password_hash=check_foreign(text_of(body, "password_hash"))
        if body.get("password_hash")
        else None,
        confirmed=flag_of(body, "email_confirm"),
        user_metadata=object_of(body, metadata) if body.get(metadata) is not None else None,
        app_metadata=object_of(body, "app_metadata")
        if body.get("app_metadata") is not None
        else None,
        ban=duration_of(text_of(body, "ban_duration")) if body.get("ban_duration") else None,
    )


def _id(request: Request, name: str) -> UUID:
    return UUID(str(request.path_params[name]))


def _number(request: Request, name: str, usual: int, most: int) -> int:
    text = request.query_params.get(name) or str(usual)
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:20]) <= most:
        raise ValidationError(f"{name} must be a number from 1 to {most}")
    return int(text)


def _links(page: int, last: int, per_page: int) -> str:
    """Where the next page is, as clients read it."""
    pages = {"last": last} if page >= last else {"next": page + 1, "last": last}
    return ", ".join(
        f'</admin/users?page={number}&per_page={per_page}>; rel="{name}"'
        for name, number in pages.items()
    )

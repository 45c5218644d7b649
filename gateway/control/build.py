"""The control plane as one application: /api, /admin/reload, /health, /ready, /metrics."""

from fastapi import FastAPI

from gateway.control import (
    admin_jobs,
    administration,
    apis,
    audit,
    chat,
    deploy,
    edits,
    errors,
    export,
    feedback,
    generate,
    health,
    ideas,
    impersonation,
    invitations,
    jobs,
    keys,
    leaks,
    ledger,
    members,
    profile,
    reference,
    reload,
    secrets,
    switches,
    templates,
    tenants,
    uploads,
    usage,
    versions,
)
from gateway.control.auditing import Auditing
from gateway.control.openapi import PROBLEM_RESPONSES, document
from gateway.control.services import ControlServices
from gateway.middleware import BodyCap, Edge

ROUTERS = (
    apis.router,
    versions.router,
    export.router,
    templates.router,
    keys.router,
    leaks.router,
    secrets.router,
    usage.router,
    ledger.router,
    tenants.router,
    profile.router,
    feedback.router,
    members.router,
    invitations.router,
    uploads.router,
    generate.router,
    jobs.router,
    deploy.router,
    edits.router,
    ideas.router,
    administration.router,
    admin_jobs.router,
    audit.router,
    switches.router,
    impersonation.router,
    chat.router,
    reload.router,
    reload.workers,
    health.router,
    reference.router,
)


class ControlApp(FastAPI):
    """FastAPI with our description of failures."""

    def openapi(self) -> dict[str, object]:
        """The OpenAPI document, made once."""
        return document(self)


def build_control(services: ControlServices) -> ControlApp:
    """The application; the caller opens and closes what is in `services`."""
    app = ControlApp(
        title="Sandgate",
        version=services.version,
        description="Create, deploy, limit and watch APIs",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=PROBLEM_RESPONSES,
    )
    app.state.control = services
    for router in ROUTERS:
        app.include_router(router)
    errors.install(app)
    app.add_middleware(BodyCap)
    app.add_middleware(Auditing)
    app.add_middleware(Edge, metrics=services.metrics)  # added last, so outermost
    return app

"""First path segments that belong to Sandgate itself and can never be a slug."""

RESERVED_SEGMENTS = frozenset(
    {
        "",
        "admin",
        "api",
        "api-keys",
        "apis",
        "auth",
        "billing",
        "dashboard",
        "docs",
        "favicon.ico",
        "feedback",
        "generate",
        "health",
        "login",
        "logout",
        "marketplace",
        "metrics",
        "monitoring",
        "openapi.json",
        "profile",
        "ready",
        "robots.txt",
        "signup",
        "static",
        ".well-known",
    }
)

"""Makes what docker-compose.yml needs: every secret, random, on standard output.

    python3 scripts/compose_env.py > compose.env

Needs nothing but Python. Run it once: other secrets later would open nothing that the first made.
For a hosted project put its SUPABASE_URL, SUPABASE_PUBLIC_URL and two keys in place of these.
"""

import base64
import hashlib
import hmac
import json
import os
import secrets
import sys
import time

_YEARS = 10
_SOCKET = "/var/run/docker.sock"


def web_token(role: str, secret: str, now: int) -> str:
    """A key of a project: a token of this role, signed with its secret (HS256)."""
    claims = {"role": role, "iss": "supabase", "iat": now, "exp": now + _YEARS * 31_536_000}
    parts = [{"alg": "HS256", "typ": "JWT"}, claims]
    body = ".".join(_coded(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
    signature = hmac.digest(secret.encode(), body.encode(), hashlib.sha256)
    return f"{body}.{_coded(signature)}"


def values(now: int) -> dict[str, str]:
    """Every variable that has no default."""
    secret = secrets.token_hex(32)
    return {
        "POSTGRES_PASSWORD": secrets.token_hex(24),
        "JWT_SECRET": secret,
        "SUPABASE_ANON_KEY": web_token("anon", secret, now),
        "SUPABASE_SERVICE_ROLE_KEY": web_token("service_role", secret, now),
        "REDIS_PASSWORD": secrets.token_hex(24),
        "ADMIN_API_KEY": f"sg_admin_{secrets.token_urlsafe(32)}",
        "SECRETS_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "DOCKER_GID": str(_group()),
    }


def _group() -> int:
    """Of the engine's socket; 999, which it often is, where there is none."""
    try:
        return os.stat(_SOCKET).st_gid
    except OSError:
        return 999


def _coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def main() -> None:
    """Write them; whoever keeps them must keep them from others."""
    if sys.stdout.isatty():
        sys.exit("these are secrets: umask 077; python3 scripts/compose_env.py > compose.env")
    os.fchmod(sys.stdout.fileno(), 0o600)
    for name, value in values(int(time.time())).items():
        sys.stdout.write(f"{name}={value}\n")


if __name__ == "__main__":
    main()

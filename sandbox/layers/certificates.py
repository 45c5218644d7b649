"""The certificate authorities this machine trusts: operators of private indexes add their own."""

import ssl
from pathlib import Path

MAX_BYTES = 4 * 1024 * 1024
# where distributions keep them when Python was built to look elsewhere
_USUAL = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def host_certificates() -> str:
    """Their PEM text; empty when there is none, then the installer's own list is used."""
    named = ssl.get_default_verify_paths().cafile
    for path in (*((named,) if named else ()), *_USUAL):
        try:
            if Path(path).stat().st_size <= MAX_BYTES:
                return Path(path).read_text("utf-8", "replace")
        except OSError:
            continue  # the next place
    return ""

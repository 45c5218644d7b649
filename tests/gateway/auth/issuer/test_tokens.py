"""Access tokens: ours are accepted, everything forged, foreign or late is refused."""

import base64
import json
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from jwt.utils import base64url_encode

from gateway.auth.issuer.errors import BadTokenError
from gateway.auth.issuer.tokens import AccessTokens, TokenContents

ISSUER = "https://sandgate.example/auth/v1"
KID = "key-1"
NOW = 1_800_000_000
CONTENTS = TokenContents(UUID(int=1), UUID(int=2), "a@b.example", NOW, {"provider": "email"}, {})


def new_pem() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


PEM = new_pem()


@pytest.fixture
def tokens() -> AccessTokens:
    return AccessTokens(private_key_pem=PEM, kid=KID, issuer=ISSUER)


def claims_of(tokens: AccessTokens) -> dict[str, Any]:
    text = tokens.issue(CONTENTS, NOW)
    return dict(jwt.decode(text, options={"verify_signature": False}))


def sign(claims: Mapping[str, Any], *, pem: str = PEM, kid: str | None = KID) -> str:
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(dict(claims), pem, "ES256", headers=headers)


def handmade(header: Mapping[str, Any], claims: Mapping[str, Any], signature: bytes) -> str:
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return b".".join(base64url_encode(part) for part in parts).decode()


def test_our_token_verifies_to_what_went_in(tokens: AccessTokens) -> None:
    claims = tokens.verify(tokens.issue(CONTENTS, NOW), NOW + 3599)
    assert (claims.user_id, claims.session_id) == (UUID(int=1), UUID(int=2))
    assert claims.email == "a@b.example"
    assert claims.expires_at == NOW + 3600


def test_claims_are_those_of_the_wire_contract(tokens: AccessTokens) -> None:
    assert claims_of(tokens) == {
        "iss": ISSUER,
        "sub": str(UUID(int=1)),
        "aud": "authenticated",
        "exp": NOW + 3600,
        "iat": NOW,
        "email": "a@b.example",
        "phone": "",
        "app_metadata": {"provider": "email"},
        "user_metadata": {},
        "role": "authenticated",
        "aal": "aal1",
        "amr": [{"method": "password", "timestamp": NOW}],
        "session_id": str(UUID(int=2)),
        "is_anonymous": False,
    }


def test_header_names_algorithm_and_key(tokens: AccessTokens) -> None:
    header = jwt.get_unverified_header(tokens.issue(CONTENTS, NOW))
    assert header == {"alg": "ES256", "typ": "JWT", "kid": KID}


def test_key_set_holds_only_the_public_half(tokens: AccessTokens) -> None:
    (key,) = tokens.jwks()["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "alg", "kid", "use", "key_ops"}
    assert (key["kty"], key["crv"], key["alg"], key["kid"]) == ("EC", "P-256", "ES256", KID)


def test_expired_is_refused_to_the_second(tokens: AccessTokens) -> None:
    with pytest.raises(BadTokenError):
        tokens.verify(tokens.issue(CONTENTS, NOW), NOW + 3600)


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://elsewhere.example/auth/v1"},
        {"aud": "anon"},
        {"aud": []},
        {"role": "service_role"},
        {"sub": "not-a-uuid"},
        {"session_id": 7},
        {"session_id": ""},
        {"exp": None},
        {"exp": "9999999999"},
        {"exp": float(NOW + 3600)},
        {"exp": True},
        {"email": 5},
    ],
    ids=str,
)
def test_well_signed_token_with_wrong_claims_is_refused(
    tokens: AccessTokens, change: dict[str, Any]
) -> None:
    claims = {**claims_of(tokens), **change}
    with pytest.raises(BadTokenError):
        tokens.verify(sign(claims), NOW)


@pytest.mark.parametrize("name", ["iss", "aud", "sub", "exp", "iat", "session_id", "role"])
def test_missing_claim_is_refused(tokens: AccessTokens, name: str) -> None:
    claims = claims_of(tokens)
    del claims[name]
    with pytest.raises(BadTokenError):
        tokens.verify(sign(claims), NOW)


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE"])
@pytest.mark.parametrize("signature", [b"", b"x"])
def test_unsigned_token_is_refused(tokens: AccessTokens, algorithm: str, signature: bytes) -> None:
    header = {"alg": algorithm, "typ": "JWT", "kid": KID}
    with pytest.raises(BadTokenError):
        tokens.verify(handmade(header, claims_of(tokens), signature), NOW)


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_token_signed_with_the_public_key_as_secret_is_refused(
    tokens: AccessTokens, encoding: Encoding
) -> None:
    import hashlib
    import hmac

    public = load_pem_private_key(PEM.encode(), None).public_key()
    secret = public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
    header = {"alg": "HS256", "typ": "JWT", "kid": KID}
    unsigned = handmade(header, claims_of(tokens), b"").rstrip(".")
    mac = hmac.digest(secret, unsigned.encode(), hashlib.sha256)
    with pytest.raises(BadTokenError):
        tokens.verify(f"{unsigned}.{base64url_encode(mac).decode()}", NOW)


def test_token_of_another_key_is_refused_under_our_kid(tokens: AccessTokens) -> None:
    with pytest.raises(BadTokenError):
        tokens.verify(sign(claims_of(tokens), pem=new_pem()), NOW)


@pytest.mark.parametrize("kid", ["key-2", "", None])
def test_token_with_another_kid_or_none_is_refused(tokens: AccessTokens, kid: str | None) -> None:
    with pytest.raises(BadTokenError):
        tokens.verify(sign(claims_of(tokens), kid=kid), NOW)


def test_key_carried_by_the_token_itself_is_not_believed(tokens: AccessTokens) -> None:
    pem = new_pem()
    other = AccessTokens(private_key_pem=pem, kid=KID, issuer=ISSUER)
    headers = {"kid": KID, "jwk": other.jwks()["keys"][0], "jku": "https://elsewhere.example/k"}
    forged = jwt.encode(claims_of(tokens), pem, "ES256", headers=headers)
    with pytest.raises(BadTokenError):
        tokens.verify(forged, NOW)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_any_altered_part_is_refused(tokens: AccessTokens, part: int) -> None:
    parts = tokens.issue(CONTENTS, NOW).split(".")
    raw = bytearray(base64.urlsafe_b64decode(parts[part] + "=="))
    raw[len(raw) // 2] ^= 1
    parts[part] = base64url_encode(bytes(raw)).decode()
    with pytest.raises(BadTokenError):
        tokens.verify(".".join(parts), NOW)


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "é.é.é",
        "\0",
        "x" * 20_000,
        "." * 10_000,
        "eyJhbGciOiJFUzI1NiJ9..",
        base64url_encode(b"[" * 5000).decode() + ".e30.AA",
        "W10.W10.AA",
    ],
)
def test_garbage_is_refused(tokens: AccessTokens, token: str) -> None:
    with pytest.raises(BadTokenError):
        tokens.verify(token, time.time())


def test_key_on_another_curve_is_a_mistake_of_the_operator() -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(TypeError):
        AccessTokens(private_key_pem=pem, kid=KID, issuer=ISSUER)

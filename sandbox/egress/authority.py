"""The door's own certificate authority: it signs for hosts with placeholders."""

import os
import ssl
from collections import OrderedDict
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.egress.hosts import Host

_NAME = "Sandgate egress door"
_YEARS = timedelta(days=3650)
_LEAF = timedelta(days=30)
_SLACK = timedelta(days=1)
_KEPT = 256


class Authority:
    """A new one, or the one that `to_pem` was asked of.

    `certificate` is what sandboxes are told to trust, as PEM.
    """

    def __init__(self, kept: bytes | None = None) -> None:
        if kept is None:
            self._key = ec.generate_private_key(ec.SECP256R1())
            self._own = self._sign_own()
        else:
            self._key, self._own = _read(kept)
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._own.public_bytes(serialization.Encoding.PEM).decode()
        self._contexts: OrderedDict[str, tuple[datetime, ssl.SSLContext]] = OrderedDict()

    def to_pem(self) -> bytes:
        """Key and certificate, from which the same authority can be made again. Secret."""
        return _secret(self._key) + self.certificate.encode()

    def _sign_own(self) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _NAME)])
        key_id = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        return (
            _dated(name, name, _YEARS)
            .public_key(self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(key_id, critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def context(self, host: Host) -> ssl.SSLContext:
        """For being this host towards a sandbox: HTTP/1.1 only, no renegotiation."""
        now = datetime.now(UTC)
        until, context = self._contexts.pop(host.name, (now, None))
        if context is None or until <= now:
            until, context = now + _LEAF / 2, self._make_context(host)
        self._contexts[host.name] = until, context
        while len(self._contexts) > _KEPT:
            self._contexts.popitem(last=False)
        return context

    def _make_context(self, host: Host) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        _load(context, self._leaf_key, self._sign_leaf(host), self._own)
        return context

    def _sign_leaf(self, host: Host) -> x509.Certificate:
        name: x509.GeneralName = (
            x509.IPAddress(host.address) if host.address else x509.DNSName(host.name)
        )
        own_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            # a common name has 64 characters at most, and nobody looks at it
            _dated(x509.Name([]), self._own.subject, _LEAF)
            .public_key(self._leaf_key.public_key())
            .add_extension(x509.SubjectAlternativeName([name]), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(own_id, critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _dated(subject: x509.Name, issuer: x509.Name, life: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SLACK)
        .not_valid_after(now + life)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _secret(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _read(kept: bytes) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """What `to_pem` said; ValueError when it is something else, or soon of no use."""
    key = serialization.load_pem_private_key(kept, None)
    own = x509.load_pem_x509_certificate(kept)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != own.public_key():
        raise ValueError("the key is not the certificate's")
    if own.not_valid_after_utc < datetime.now(UTC) + _YEARS / 2:
        raise ValueError("the certificate is too old")
    return key, own


def _load(
    context: ssl.SSLContext, key: ec.EllipticCurvePrivateKey, *certificates: x509.Certificate
) -> None:
    """Through memory that has a file's name: the library takes nothing else, the disk stays out."""
    chain = [one.public_bytes(serialization.Encoding.PEM) for one in certificates]
    descriptor = os.memfd_create("leaf", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(_secret(key) + b"".join(chain))
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)

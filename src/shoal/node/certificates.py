"""The cloud's certificate authority and the certificates of its nodes (Ed25519, X.509).

A node's certificate names it by a DNS name made of its id and carries the cloud's id as
organization. Certificates are valid from 1970, because clocks of hosts may be wrong, and have no
end: nodes are removed by record, authorities by rotation.
"""

import hashlib
import ssl
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from shoal.model.errors import BadRequest
from shoal.node.identity import Identity, node_id_of

if TYPE_CHECKING:
    from cryptography import x509

#: DNS labels end at 63 characters, so the 64 digits of an id take two.
_SUFFIX = ".node.shoal"
_NOT_BEFORE = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_AFTER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # RFC 5280: no end


class Authority(msgspec.Struct, frozen=True):
    """A certificate authority. `key` is secret: keep it only sealed (`sealed.py`)."""

    certificate: str  # PEM
    key: bytes  # PKCS8 PEM


def new_cloud_id() -> str:
    return uuid.uuid4().hex


def server_name(node_id: str) -> str:
    """DNS name under which a node's certificate is checked."""
    return f"{node_id[:32]}.{node_id[32:]}{_SUFFIX}"


def node_of(certificate: Mapping[str, Any] | None) -> str:
    """Node id in what `ssl`'s getpeercert() returned; "" without a certificate or name."""
    for kind, name in (certificate or {}).get("subjectAltName", ()):
        digits = name.removesuffix(_SUFFIX).replace(".", "")
        if kind == "DNS" and name == server_name(digits):
            return str(digits)
    return ""


def fingerprint(certificate: str) -> bytes:
    """SHA-256 of a PEM certificate."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.strip() + "\n")).digest()


def create_authority(cloud: str) -> Authority:
    """A new self-signed authority for the cloud."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = Ed25519PrivateKey.generate()
    # Distinct subjects let OpenSSL tell two authorities of one cloud apart.
    name = _name(cloud, f"shoal authority {uuid.uuid4().hex[:8]}")
    certificate = (
        _builder(name, name)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, None)
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Authority(certificate.public_bytes(Encoding.PEM).decode(), pem)


def signing_request(identity: Identity) -> bytes:
    """What a node sends to be certified: a CSR (DER), which proves that it holds its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

    key = load_pem_private_key(identity.key_pem(), None)
    assert isinstance(key, Ed25519PrivateKey)
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, None)
    return request.public_bytes(Encoding.DER)


def issue(authority: Authority, cloud: str, request: bytes) -> tuple[str, str]:
    """Certify the sender of a signing request: (node id, certificate PEM).

    The id follows from the key, so nobody can ask for another node's. Raises BadRequest.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )
    from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

    try:
        asked = x509.load_der_x509_csr(request)
        public = asked.public_key()
        if not asked.is_signature_valid or not isinstance(public, Ed25519PublicKey):
            raise ValueError("not signed by an Ed25519 key")
    except ValueError as error:
        raise BadRequest(f"the request for a certificate is damaged: {error}") from error
    node_id = node_id_of(public.public_bytes_raw())
    signer = x509.load_pem_x509_certificate(authority.certificate.encode())
    key = load_pem_private_key(authority.key, None)
    assert isinstance(key, Ed25519PrivateKey)
    usage = x509.ExtendedKeyUsage(
        [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH, x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]
    )
    certificate = (
        _builder(_name(cloud, "shoal node"), signer.subject)
        .public_key(public)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(usage, critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(server_name(node_id))]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),  # type: ignore[arg-type]
            critical=False,
        )
        .sign(key, None)
    )
    return node_id, certificate.public_bytes(Encoding.PEM).decode()


def _name(cloud: str, common: str) -> "x509.Name":
    from cryptography import x509

    return x509.Name(
        [
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, cloud),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, common),
        ]
    )


def _builder(subject: "x509.Name", issuer: "x509.Name") -> "x509.CertificateBuilder":
    from cryptography import x509

    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        serial_number=x509.random_serial_number(),
        not_valid_before=_NOT_BEFORE,
        not_valid_after=_NOT_AFTER,
    )


def _key_usage(*, authority: bool) -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )

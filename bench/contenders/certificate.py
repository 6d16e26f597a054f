"""An authority made for a run, and a certificate that it has signed, for those who do not make one themselves."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from bench.model import HOST

if TYPE_CHECKING:
    from pathlib import Path

NAME = "localhost"
PASSWORD = "bench"

DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Where it stands, in the forms that programs ask for.

    Args:
        authority: certificate of the authority, PEM: who trusts it can verify the other.
        certificate: PEM.
        key: private key, PEM.
        both: certificate and private key, PEM.
        pkcs12: both, under `PASSWORD`.
    """

    authority: Path
    certificate: Path
    key: Path
    both: Path
    pkcs12: Path


def make_certificate(folder: Path) -> Certificate:
    """Write one for `NAME` and `HOST`: ECDSA P-256, as nodepass's own."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority of the bench")])
    authority = (
        _begun(authority_name, authority_name, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, SHA256())
    )
    names = x509.SubjectAlternativeName([x509.DNSName(NAME), x509.IPAddress(ipaddress.ip_address(HOST))])
    # The identifiers are asked for by those who verify as strictly as RFC 5280 allows: Python from 3.13.
    signed = (
        _begun(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)]), authority_name, key.public_key())
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, SHA256())
    )
    paths = Certificate(
        *(folder / name for name in ("authority.pem", "certificate.pem", "key.pem", "both.pem", "identity.pfx"))
    )
    pem = signed.public_bytes(Encoding.PEM)
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    paths.authority.write_bytes(authority.public_bytes(Encoding.PEM))
    paths.certificate.write_bytes(pem)
    paths.key.write_bytes(key_pem)
    paths.both.write_bytes(pem + key_pem)
    encryption = BestAvailableEncryption(PASSWORD.encode("ascii"))
    paths.pkcs12.write_bytes(pkcs12.serialize_key_and_certificates(NAME.encode("ascii"), key, signed, None, encryption))
    return paths


def _begun(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )

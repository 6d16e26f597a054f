"""A self-signed certificate for those who do not make one themselves."""

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


@dataclass(frozen=True, slots=True)
class Certificate:
    """Where it stands, in the forms that programs ask for.

    Args:
        certificate: PEM.
        both: certificate and private key, PEM.
        pkcs12: both, under `PASSWORD`.
    """

    certificate: Path
    both: Path
    pkcs12: Path


def make_certificate(folder: Path) -> Certificate:
    """Write one for `NAME` and `HOST`: ECDSA P-256, as nodepass's own."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(NAME), x509.IPAddress(ipaddress.ip_address(HOST))])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    paths = Certificate(folder / "certificate.pem", folder / "both.pem", folder / "identity.pfx")
    pem = signed.public_bytes(Encoding.PEM)
    paths.certificate.write_bytes(pem)
    paths.both.write_bytes(pem + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    encryption = BestAvailableEncryption(PASSWORD.encode("ascii"))
    paths.pkcs12.write_bytes(pkcs12.serialize_key_and_certificates(NAME.encode("ascii"), key, signed, None, encryption))
    return paths

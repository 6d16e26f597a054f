"""Certificates for the ends that serve TLS: made in memory, or read from files and read again when they change."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import ssl
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nodepass.config import TlsMode
from nodepass.errors import ConfigError, NodePassError
from nodepass.protocol.signals import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nodepass.log import Log

SELF_SIGNED_NAME = "nodepass"
SELF_SIGNED_LIFETIME = dt.timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """What an end needs to serve TLS.

    Args:
        context: TLS 1.3, with the certificate loaded.
        fingerprint: of the certificate, in the form of the `verify` signal.
        chain: the certificate, and those between it and the authority, in PEM; for QUIC, whose TLS is not `ssl`'s.
        private_key: the private key in PEM.
    """

    context: ssl.SSLContext
    fingerprint: str
    chain: bytes
    private_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientTls:
    """What an end needs to dial with TLS.

    Args:
        context: what is asked of the server.
        hostname: name to ask for, and to verify if the context says so; None asks for none.
    """

    context: ssl.SSLContext
    hostname: str | None


@dataclass(frozen=True, slots=True)
class PemPair:
    """A certificate chain and its private key, in PEM."""

    chain: bytes
    private_key: bytes = field(repr=False)


def self_signed_pair() -> PemPair:
    """A fresh ECDSA P-256 certificate that lives in memory only (spec: wire.md, TLS)."""
    # This library takes 30 ms to import, and only this function needs it.
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    private_key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, SELF_SIGNED_NAME)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + SELF_SIGNED_LIFETIME)
        .sign(private_key, hashes.SHA256())
    )
    chain = certificate.public_bytes(serialization.Encoding.PEM)
    secret = private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return PemPair(chain, secret)


def from_pair(pair: PemPair, alpn: tuple[str, ...] = ()) -> ServerCertificate:
    """What serves TLS with a certificate in memory.

    Args:
        pair: the certificate.
        alpn: protocols to agree to, where the client asks for one (RFC 7301).
    """
    with _as_file(pair.chain + pair.private_key) as path:
        context = _server_context(path, path, alpn)
    certificate = ssl.PEM_cert_to_DER_cert(_first_certificate(pair.chain.decode("ascii")))
    return ServerCertificate(context, fingerprint(certificate), pair.chain, pair.private_key)


def self_signed(alpn: tuple[str, ...] = ()) -> ServerCertificate:
    """What serves TLS with a `self_signed_pair` of its own; `alpn` is that of `from_pair`."""
    return from_pair(self_signed_pair(), alpn)


def from_files(crt: Path, key: Path, alpn: tuple[str, ...] = ()) -> ServerCertificate:
    """The certificate chain and private key of two PEM files.

    Args:
        crt: where the chain is.
        key: where the private key is.
        alpn: see `from_pair`.

    Raises:
        ConfigError: a file cannot be read, is not PEM, is encrypted, or they do not belong together.
    """
    content: dict[str, bytes] = {}
    for name, path in (("crt", crt), ("key", key)):
        try:
            content[name] = path.read_bytes()
        except OSError as error:
            raise ConfigError(name, str(path), f"cannot be read: {error.strerror}") from None
    try:
        certificate = ssl.PEM_cert_to_DER_cert(_first_certificate(content["crt"].decode("ascii")))
    except ValueError:
        raise ConfigError("crt", str(crt), "expected a file with a PEM certificate") from None
    try:
        context = _server_context(crt, key, alpn)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError("key", str(key), f"expected the private key of the certificate in {crt}") from None
        raise ConfigError("key", str(key), "expected a file with an unencrypted PEM private key") from None
    return ServerCertificate(context, fingerprint(certificate), content["crt"], content["key"])


def client_context(*, verify: bool, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
    """What the client's end of a pool connection asks of the server.

    TLS 1.3, one of the protocols in `alpn` if there are any, and with `verify` a certificate that is trusted here.
    """
    if verify:
        context = ssl.create_default_context()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def _server_context(crt: Path, key: Path, alpn: tuple[str, ...]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if alpn:
        context.set_alpn_protocols(list(alpn))
    # Nobody resumes: each ticket would cost a signature and a write on every connection.
    context.num_tickets = 0
    # Without a password here, OpenSSL would ask on the terminal for that of an encrypted key.
    context.load_cert_chain(crt, key, password="")
    return context


def _first_certificate(pem: str) -> str:
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    return begin + pem[pem.index(begin) + len(begin) : pem.index(end)] + end


@contextmanager
def _as_file(content: bytes) -> Iterator[Path]:
    """A path under which `content` can be read; in memory where the system can. The `ssl` module loads from paths only."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("certificate")
        try:
            os.write(descriptor, content)
            yield Path(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "certificate.pem")
        path.touch(mode=0o600)
        path.write_bytes(content)
        yield path


class CertificateSource:
    """The certificate an instance serves, replaced when its files are.

    Args:
        current: what to serve now.
        files: where it came from; None for one made in memory, which is never replaced.
        alpn: see `from_pair`.
    """

    def __init__(
        self, current: ServerCertificate, files: tuple[Path, Path] | None = None, alpn: tuple[str, ...] = ()
    ) -> None:
        self.current = current
        self._files = files
        self._alpn = alpn

    def reload(self, announce: Callable[[str], None] = lambda _: None) -> bool:
        """Read the files again, and tell whether there is another certificate now; connections in progress keep theirs.

        Args:
            announce: called with the fingerprint of another certificate before that is shown to anybody.

        Raises:
            ConfigError: the new files are no good; the old certificate is kept.
        """
        if self._files is None:
            return False
        fresh = from_files(*self._files, self._alpn)
        changed = fresh.fingerprint != self.current.fingerprint
        if changed:
            announce(fresh.fingerprint)
            self.current = fresh
        return changed

    async def keep_current(self, interval: float, log: Log, announce: Callable[[str], None] = lambda _: None) -> None:
        """Look every `interval` seconds, for ever, whether the files have been replaced; `log` tells what came of it.

        See `reload` for `announce`.
        """
        while True:
            await asyncio.sleep(interval)
            try:
                if self.reload(announce):
                    log.info("TLS certificate reloaded: %s", self.current.fingerprint)
            except NodePassError as error:
                log.error("TLS certificate not reloaded, the old one stays: %s", error)  # noqa: TRY400 - a `Log` writes no tracebacks


def certificate_source(
    tls: TlsMode, crt: str, key: str, alpn: tuple[str, ...] = (), pair: PemPair | None = None
) -> CertificateSource | None:
    """What a listener with these URL parameters serves TLS with; None without TLS.

    Args:
        tls: where the certificate comes from.
        crt: path of its file.
        key: path of its private key's.
        alpn: see `from_pair`.
        pair: what stands for one that would be made here.

    Raises:
        ConfigError: the files are no good.
    """
    if tls is TlsMode.NONE:
        return None
    if tls is TlsMode.SELF_SIGNED:
        return CertificateSource(from_pair(pair or self_signed_pair(), alpn), alpn=alpn)
    files = (Path(crt), Path(key))
    return CertificateSource(from_files(*files, alpn), files, alpn)

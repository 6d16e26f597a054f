"""What a server shows its clients: its certificate, and the tickets with which they come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nodepass.errors import ListenError
from nodepass.log import ERROR
from nodepass.transport.quic.settings import server_configuration

if TYPE_CHECKING:
    from qh3.quic.configuration import QuicConfiguration
    from qh3.tls import SessionTicket

    from nodepass.log import Log
    from nodepass.net.certificates import CertificateSource, ServerCertificate

PATH_SIZE: Final = 1372
"""Bytes of the largest datagram sent: it fits through the tunnels and access networks that there are (WireGuard over IPv6
leaves the least). Only a client of the library finds out what fits."""

LOCAL_SIZE: Final = 1452
"""The same on this machine: the most that v1 takes."""

MOST_TICKETS: Final = 1024


class Identity:
    """The certificate in force, as the library wants it, and the tickets that were given with it.

    What always holds: a ticket is used once, so that a recorded first packet cannot be played again (RFC 8446, 8.1); and
    none outlives the certificate with which it was given.

    Args:
        source: of the certificate.
        idle_timeout: see `Limits`.
        log: of the instance.

    Raises:
        ListenError: the certificate or its key is of a kind that cannot be used here.
    """

    def __init__(self, source: CertificateSource, idle_timeout: float, log: Log) -> None:
        self._source = source
        self._idle_timeout = idle_timeout
        self._log = log
        self._tickets: dict[bytes, SessionTicket] = {}
        self._current = source.current
        try:
            self._configurations = self._load(source.current)
        except Exception as error:
            raise ListenError(f"QUIC cannot use the certificate or its key: {error}") from error

    @property
    def fingerprint(self) -> str:
        """Of the certificate that connections are shown from now on."""
        return self._in_force().fingerprint

    def configuration(self, *, local: bool) -> QuicConfiguration:
        """For one connection, to a client on this machine or elsewhere."""
        self._in_force()
        return self._configurations[local]

    def keep_ticket(self, ticket: SessionTicket) -> None:
        """Remember one that is being given."""
        self._tickets[ticket.ticket] = ticket
        if len(self._tickets) > MOST_TICKETS:
            del self._tickets[next(iter(self._tickets))]

    def fetch_ticket(self, identity: bytes) -> SessionTicket | None:
        """One that a client came back with; there is no second time."""
        return self._tickets.pop(identity, None)

    def _in_force(self) -> ServerCertificate:
        """The certificate to show: the source's, if that can be used."""
        fresh = self._source.current
        if fresh is not self._current:
            try:
                self._configurations = self._load(fresh)
            except Exception as error:  # noqa: BLE001 - the library says in many ways that it does not know a kind of key
                self._log.seldom(
                    "quic certificate", ERROR, "QUIC cannot use the new certificate, the old one stays: %s", error
                )
                return self._current
            self._current = fresh
            self._tickets.clear()
        return self._current

    def _load(self, certificate: ServerCertificate) -> tuple[QuicConfiguration, QuicConfiguration]:
        return (
            server_configuration(certificate, self._idle_timeout, PATH_SIZE),
            server_configuration(certificate, self._idle_timeout, LOCAL_SIZE),
        )

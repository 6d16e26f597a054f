"""The QUIC library, qh3: everything that reaches into it is in this file.

qh3 is a native core without sockets or clocks (`QuicConnectionCore`: packets, streams, recovery, paths) and a facade in
Python (`QuicConnection`: TLS, and one object per event). The facade carries the handshake. Afterwards `Engine.core` is used
directly, because a call per datagram and an object per event would cost more than all else.

Two things are not to be had from its public side, so that `Engine` overrides what makes the core and the TLS half: how many
streams the peer may open, which the facade fixes at 100, and that control events are handled here while data goes by. What
this relies on is checked by `tests/unit/transport/quic/test_library.py`; for its sake the dependency is held to one minor
version.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias

from qh3._hazmat import Buffer, QuicConnectionCore
from qh3.quic.connection import QuicConnection
from qh3.quic.events import ConnectionTerminated
from qh3.quic.packet import (
    pull_quic_transport_parameters,
    push_quic_transport_parameters,
)
from qh3.quic.tls_bridge import QuicTlsBridge, QuicTlsBridgeError
from qh3.tls import Epoch

from nodepass.protocol.signals import fingerprint
from nodepass.transport.quic.endings import MOST_REASON, distrust, why_ended
from nodepass.transport.quic.nameless import install_initial_keys
from nodepass.transport.quic.settings import CONNECTION_WINDOW, STREAM_WINDOW, UNIDIRECTIONAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from qh3.quic.configuration import QuicConfiguration
    from qh3.tls import SessionTicket

    from nodepass.net.address import SocketAddress
    from nodepass.transport.quic.settings import Limits

Event: TypeAlias = tuple[Any, ...]
"""What the core tells: a kind and its values, such as `("stream_data", stream_id, data, fin)`."""

# It logs what peers do as warnings, which would end up on standard error where nobody has set up logging.
logging.getLogger("quic").addHandler(logging.NullHandler())
logging.getLogger("quic").propagate = False


class _TlsBridge(QuicTlsBridge):
    """The TLS half, telling the peer of our own limits."""

    def __init__(self, limits: Limits, configuration: QuicConfiguration, **more: Any) -> None:
        self._limits = limits
        super().__init__(configuration, **more)

    def serialize_transport_parameters(self) -> bytes:
        parameters = pull_quic_transport_parameters(Buffer(data=super().serialize_transport_parameters()))
        parameters.initial_max_streams_bidi = self._limits.streams
        parameters.initial_max_streams_uni = UNIDIRECTIONAL
        parameters.max_datagram_frame_size = None
        # Marks of another program, of no use here.
        parameters.google_connection_options = None
        parameters.initial_rtt = None
        buffer = Buffer(capacity=1024)
        push_quic_transport_parameters(buffer, parameters)
        return buffer.data


class Engine(QuicConnection):
    """One QUIC connection: takes datagrams and time, gives events and datagrams.

    Args:
        configuration: of `settings`.
        limits: for the peer.
        first: destination connection ID of the packet that began it, at a server; after a Retry, the one before that.
        retried: the connection ID that a Retry gave, at a server that sent one.
        nameless: the destination ID of the packet that began it, at a server whose client has no ID; see `nameless`.
        fetch: finds the session ticket of an identity, at a server.
        keep: called with each session ticket: one that the server gave, or at a server one that it gives.
    """

    def __init__(
        self,
        configuration: QuicConfiguration,
        limits: Limits,
        *,
        first: bytes | None = None,
        retried: bytes | None = None,
        nameless: bytes | None = None,
        fetch: Callable[[bytes], SessionTicket | None] | None = None,
        keep: Callable[[SessionTicket], None] | None = None,
    ) -> None:
        super().__init__(
            configuration=configuration,
            original_destination_connection_id=first,
            retry_source_connection_id=retried,
            session_ticket_fetcher=fetch,
            session_ticket_handler=keep,
        )
        if nameless is not None:
            self.host_cid = nameless
        self._nameless = nameless
        self._limits = limits
        self._distrust: Exception | None = None
        self.held: deque[Event] = deque()
        """What the core told during the handshake that is not the handshake's."""
        self.careful = False
        """Whether the core may have frames left to send of a stream that ends; see `leftovers`."""
        self.rounds = 0
        """How often packets have been made: what was written since the last time is in no frame yet."""

    @property
    def core(self) -> QuicConnectionCore:
        """The native core; there is one from `connect` or the first datagram on. A Retry replaces it."""
        return self._require_core()

    @property
    def started(self) -> bool:
        """Whether there is a core."""
        return self._core is not None

    @property
    def complete(self) -> bool:
        """Whether the handshake is done."""
        return self._handshake_complete

    @property
    def first_cid(self) -> bytes:
        """The connection ID under which the peer finds this end at first."""
        return bytes(self.host_cid)

    @property
    def alpn(self) -> str | None:
        """The protocol that both ends agreed on."""
        return None if self.tls is None else self.tls.alpn_negotiated

    @property
    def resumed(self) -> bool:
        """Whether a ticket took the place of the server's certificate."""
        return self.tls is not None and bool(self.tls.session_resumed)

    @property
    def early_accepted(self) -> bool:
        """Whether the server took what came with the first packet."""
        return self.tls is not None and bool(self.tls.early_data_accepted)

    @property
    def fingerprint(self) -> str | None:
        """Of the server's certificate, at a client to which it was shown."""
        certificate = self.get_peercert()
        return None if certificate is None else fingerprint(certificate.public_bytes())

    @property
    def ended(self) -> bool:
        """Whether one of the two ends has ended the connection."""
        return self._close_event is not None

    @property
    def error(self) -> Exception | None:
        """Why the connection ends, if one of the two ends has said so."""
        if self._distrust is not None:
            return self._distrust
        return None if self._close_event is None else why_ended(self._close_event)

    def early_streams(self) -> int:
        """Streams that may be opened with the first packet: what the server allowed when it gave the ticket, or 0."""
        remembered = self._remembered_transport_parameters()
        return 0 if remembered is None else remembered.initial_max_streams_bidi or 0

    def open_early(self, opening: bytes) -> int:
        """Open a stream and send `opening` on it before the server has answered; its ID. See `early_streams`."""
        stream_id: int = self.get_next_available_stream_id()
        self.send_stream_data(stream_id, opening)
        return stream_id

    def receive(self, data: bytes, segment: int, address: SocketAddress, now: float) -> bool:
        """Take datagrams of this size, the last perhaps shorter; whether a packet among them was the peer's.

        Raises:
            Exception: whatever the library makes of what a peer sent: the connection is of no more use.
        """
        if self._handshake_complete:
            return self.core.receive_gro_buffer(data, segment, address, now)[2] > 0
        for start in range(0, len(data), segment):
            self.receive_datagram(data[start : start + segment], address, now)
        return self._core is not None and self._core.received_authenticated_packet

    def control(self, event: Event) -> bool:
        """Take an event that is the connection's own; False where it is another's."""
        kind = event[0]
        if kind == "crypto_data":
            self._take_crypto(event)
        elif kind == "handshake_done":
            self._handshake_confirmed = True
            self.core.handshake_confirmed()
        elif kind == "stream_finished":
            self._created_local_stream_ids.discard(event[1])
        elif kind == "peer_closed":
            self._close_event = ConnectionTerminated(event[2], event[3], event[4].decode("utf8", "replace"))
        elif kind == "protocol_error":
            self._close_event = ConnectionTerminated(event[1], event[2], event[3])
        elif kind == "connection_terminated":
            self._close_event = ConnectionTerminated(event[1], event[2], event[3].decode("utf8", "replace"))
        else:
            return False
        return True

    def finish(self, code: int, reason: str = "") -> None:
        """Send CONNECTION_CLOSE with the next packet, and nothing else any more."""
        self.core.close(code, None, reason.encode()[:MOST_REASON])

    # What the facade calls.

    def _drain_core(self) -> None:
        core = self.core
        while (event := core.next_event()) is not None:
            if not self.control(event):
                self.held.append(event)

    def _take_crypto(self, event: Event) -> None:
        if self._tls is None:
            return
        try:
            self._tls.receive_crypto(Epoch(event[1]), event[3], event[2], version=self.core.version)
            self._drain_tls()
        except QuicTlsBridgeError as error:
            if self._is_client:
                self._distrust = distrust(error, self._configuration.server_name)
            self.close(error.error_code, int(error.frame_type), error.reason_phrase)

    def _learn_remote_source_cid(self, data: bytes) -> None:
        super()._learn_remote_source_cid(data)
        if self._nameless is not None and self._tls is not None:
            self._tls.remote_initial_source_connection_id = b""

    def _create_core(self, remote_addr: SocketAddress, initial_dcid: bytes, now: float) -> None:
        configuration = self._configuration
        remembered = self._remembered_transport_parameters()
        self._core = QuicConnectionCore(
            is_client=self._is_client,
            version=self._version or 0,
            local_addr=("0.0.0.0", 0),  # noqa: S104 - a name for "here": nothing is bound to it
            remote_addr=remote_addr,
            source_cid=self.host_cid,
            destination_cid=initial_dcid if self._nameless is None else b"",
            peer_address_validated=self._is_client or self._retry_source_connection_id is not None,
            active_connection_id_limit=2 if self._is_client else 8,
            max_datagram_size=configuration.max_datagram_size,
            probe_datagram_size=configuration.probe_datagram_size,
            idle_timeout=configuration.idle_timeout,
            ack_delay_exponent=3,
            max_datagram_frame_size=None,
            peer_max_datagram_frame_size=None,
            connection_receive_window=CONNECTION_WINDOW,
            connection_send_limit=remembered.initial_max_data or 0 if remembered else 0,
            stream_receive_window=STREAM_WINDOW,
            stream_send_limit_bidi_local=remembered.initial_max_stream_data_bidi_local or 0 if remembered else 0,
            stream_send_limit_bidi_remote=remembered.initial_max_stream_data_bidi_remote or 0 if remembered else 0,
            stream_send_limit_uni=remembered.initial_max_stream_data_uni or 0 if remembered else 0,
            max_stream_reassembly=STREAM_WINDOW,
            local_max_streams_bidi=self._limits.streams,
            local_max_streams_uni=UNIDIRECTIONAL,
            peer_max_streams_bidi=remembered.initial_max_streams_bidi or 0 if remembered else 0,
            peer_max_streams_uni=remembered.initial_max_streams_uni or 0 if remembered else 0,
            initial_rtt=configuration.initial_rtt,
            max_ack_delay=0.025,
            initial_time=now,
        )
        if self._nameless is not None:
            install_initial_keys(self._core, self._nameless)
        self._applied_transport_parameters = None
        self._pre_handshake_state_replayed = False

    def _create_tls(self, remote_source_cid: bytes | None) -> QuicTlsBridge:
        self._tls = _TlsBridge(
            self._limits,
            self._configuration,
            version=self._version,
            local_initial_source_connection_id=self.host_cid,
            remote_initial_source_connection_id=remote_source_cid,
            original_destination_connection_id=self._original_destination_connection_id,
            retry_source_connection_id=self._retry_source_connection_id,
            session_ticket_fetcher=self._session_ticket_fetcher,
            session_ticket_handler=self._session_ticket_handler,
            version_change_handler=self._set_version,
        )
        return self._tls

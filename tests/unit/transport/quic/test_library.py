"""What is relied on inside the QUIC library: an upgrade that changes it is to be noticed here, not by a user."""

from __future__ import annotations

import logging
import ssl
from time import monotonic
from typing import TYPE_CHECKING

import pytest
from qh3 import tls as library_tls
from qh3._hazmat import Buffer, QuicConnectionCore
from qh3.quic.packet import pull_quic_transport_parameters
from qh3.quic.tls_bridge import QuicTlsBridge

from nodepass.net.certificates import ClientTls, client_context
from nodepass.transport.quic.endings import why_given_up
from nodepass.transport.quic.library import Engine
from nodepass.transport.quic.packets import parse_long
from nodepass.transport.quic.settings import (
    ALPN_CREDIT,
    STREAM_WINDOW,
    Limits,
    bring_ticket,
    client_configuration,
    server_configuration,
)
from tests.unit.transport.quic.ends import CERTIFICATE

if TYPE_CHECKING:
    from qh3.tls import SessionTicket

CLIENT, SERVER = ("127.0.0.1", 1001), ("127.0.0.1", 1002)
LIMITS = Limits(1234, 15.0)


class Couple:
    """A client's and a server's engine with a clear way between them."""

    def __init__(self, *, nameless: bool = False) -> None:
        self.tickets: list[SessionTicket] = []
        self._now = monotonic()
        insecure = ClientTls(client_context(verify=False), None)
        client = client_configuration(insecure, 15.0)
        if nameless:
            client.connection_id_length = 0
        self.client = Engine(client, LIMITS, keep=self.tickets.append)
        if nameless:
            self.client._original_destination_connection_id = b"made up!"
        self.client.connect(SERVER, monotonic())
        first = self.client.datagrams_to_send(monotonic())
        header = parse_long(first[0][0])
        assert header is not None
        assert (header.source == b"") is nameless
        self.server = Engine(
            server_configuration(CERTIFICATE, 15.0, 1452),
            LIMITS,
            first=header.destination,
            nameless=header.destination if nameless else None,
            keep=self.tickets.append,
        )
        for datagram, _ in first:
            self.server.receive(datagram, len(datagram), CLIENT, monotonic())

    def exchange(self, *, taking: bool = True) -> None:
        """Pass on what both have to say until there is nothing left; whether their events are taken as well."""
        for _ in range(20):
            self._now += 0.01
            for source, sink, address in ((self.server, self.client, SERVER), (self.client, self.server, CLIENT)):
                source.core.handle_timer(self._now)
                for datagram, _ in source.datagrams_to_send(self._now):
                    sink.receive(datagram, len(datagram), address, self._now)
                    if taking:
                        sink._drain_core()


def test_the_peer_is_told_of_our_own_stream_limits() -> None:
    couple = Couple()
    couple.exchange()
    assert couple.client.complete
    assert couple.server.complete
    # Theirs as this end knows it: bidirectional and unidirectional; and how many it opened.
    assert couple.client.core.stream_limits == (1234, 1, 0, 0)
    assert couple.server.core.stream_limits == (1234, 1, 0, 0)


def test_the_core_keeps_to_them_as_well() -> None:
    couple = Couple()
    couple.exchange()
    for _ in range(1234):
        couple.client.core.open_stream(unidirectional=False)
    with pytest.raises(ValueError, match="limit 1234 exceeded"):
        couple.client.core.open_stream(unidirectional=False)


def test_both_ends_prefer_credit() -> None:
    couple = Couple()
    couple.exchange()
    assert couple.client.alpn == couple.server.alpn == ALPN_CREDIT


def test_a_client_without_a_connection_id_is_served() -> None:
    couple = Couple(nameless=True)
    couple.exchange()
    assert couple.client.complete
    assert couple.server.complete
    stream_id = couple.client.core.open_stream(unidirectional=False)
    couple.client.core.send_stream(stream_id, b"hello")
    couple.exchange()
    assert ("stream_data", stream_id, b"hello", False) in couple.server.held


def test_a_client_that_came_back_and_hears_nothing_is_said_to_have_no_answer() -> None:
    """The library wants a key that it cannot have yet: see `why_given_up`."""
    couple = Couple()
    couple.exchange()
    again = client_configuration(ClientTls(client_context(verify=False), None), 15.0)
    bring_ticket(again, couple.tickets[1])
    engine = Engine(again, LIMITS)
    engine.connect(SERVER, monotonic())
    engine.open_early(b"\0")
    with pytest.raises(RuntimeError) as raised:
        ask_until_it_gives_up(engine)
    assert not engine.complete
    assert why_given_up(raised.value) == "no answer to what was sent first"
    assert "gave up" in why_given_up(RuntimeError("anything else"))


def ask_until_it_gives_up(engine: Engine) -> None:
    """Let time pass, in which no answer comes."""
    now = monotonic()
    while (timer := engine.core.get_timer()) is not None:
        while engine.core.poll_transmit(now) is not None:
            pass
        now = max(now, timer[1])
        engine.core.handle_timer(now)


def test_a_ticket_carries_what_early_streams_need() -> None:
    couple = Couple()
    couple.exchange()
    assert len(couple.tickets) == 2, "one that the server gave, and the client's copy"
    again = client_configuration(ClientTls(client_context(verify=False), None), 15.0)
    bring_ticket(again, couple.tickets[1])
    engine = Engine(again, LIMITS)
    assert engine.early_streams() == LIMITS.streams
    engine.connect(SERVER, monotonic())
    assert engine.open_early(b"\0") == 0
    kinds = [parse_long(datagram) for datagram, _ in engine.datagrams_to_send(monotonic())]
    assert len(kinds) > 1


def test_credit_is_granted_when_an_event_is_taken() -> None:
    """It is why there is credit of our own, and why nothing is taken during a stall."""
    couple = Couple()
    couple.exchange()
    stream_id = couple.client.core.open_stream(unidirectional=False)
    size = 3 * STREAM_WINDOW
    couple.client.core.send_stream(stream_id, bytes(size))

    def sent_until_blocked() -> int:
        before = -1
        while (sent := size - couple.client.core.get_send_buffer_size(stream_id)) > before:
            before = sent
            couple.exchange(taking=False)
        return sent

    assert sent_until_blocked() == STREAM_WINDOW
    while couple.server.core.next_event() is not None:
        pass
    assert sent_until_blocked() > STREAM_WINDOW


def test_an_end_in_a_frame_of_its_own_that_is_lost_with_data_is_never_sent_again() -> None:
    """It is why ends wait in `arrivals`."""
    couple = Couple()
    couple.exchange()
    client = couple.client.core
    stream_id = client.open_stream(unidirectional=False)
    client.send_stream(stream_id, b"data")
    couple.client.datagrams_to_send(couple._now)
    client.send_stream(stream_id, b"", fin=True)
    couple.client.datagrams_to_send(couple._now)
    for _ in range(4):
        client.send_ping(0)
        for datagram, _ in couple.client.datagrams_to_send(couple._now):
            couple.server.receive(datagram, len(datagram), CLIENT, couple._now)
    couple.exchange()
    assert [event for event in couple.server.held if event[0] == "stream_data"] == [
        ("stream_data", stream_id, b"data", False)
    ]
    assert not client.bytes_in_flight


def test_the_arguments_and_attributes_that_are_overridden_exist() -> None:
    for name in ("serialize_transport_parameters", "receive_crypto"):
        assert callable(getattr(QuicTlsBridge, name))
    for name in (
        "outstanding_application_packets",
        "bytes_in_flight",
        "congestion_window",
        "loss_total",
        "pto_total",
        "state",
    ):
        assert hasattr(QuicConnectionCore, name)
    assert hasattr(QuicConnectionCore, "received_authenticated_packet")
    couple = Couple()
    for name in ("_configuration", "_close_event", "_created_local_stream_ids", "_handshake_complete", "_tls", "_version"):
        assert hasattr(couple.client, name), name
    assert hasattr(library_tls.Context, "handle_message")


def test_what_a_client_tells_of_itself_marks_no_other_program() -> None:
    bridge = Couple().client._tls
    assert bridge is not None
    parameters = pull_quic_transport_parameters(Buffer(data=bridge.serialize_transport_parameters()))
    assert parameters.google_connection_options is None
    assert parameters.max_datagram_frame_size is None
    assert parameters.max_idle_timeout == 15_000


def test_the_library_logs_to_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("quic").warning("a peer did something")
    assert capfd.readouterr() == ("", "")


def test_a_server_without_a_name_is_not_verified_at_all() -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="no name"):
        client_configuration(ClientTls(client_context(verify=True), None), 15.0)

"""The figures of an instance, as those who embed it read them and as its CHECK_POINT line gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from nodepass.protocol.checkpoint import CheckPoint

if TYPE_CHECKING:
    from nodepass.relay.meter import Meter


@dataclass(frozen=True, slots=True)
class Stats:
    """The figures of an instance, at one moment.

    Args:
        mode: 1 reverse or single-end, 2 forward or dual-end; 0 while that is not decided.
        peers: sessions with the other end of the tunnel that are ready.
        pool: idle pool connections.
        ping: seconds the peer, or the target of a forwarder, takes to answer.
        tcp_sessions: TCP sessions in progress.
        udp_sessions: UDP sessions in progress.
        tcp_received: bytes read from TCP users or targets since the instance began.
        tcp_sent: bytes written to them.
        udp_received: bytes read from UDP users or targets.
        udp_sent: bytes written to them.
    """

    mode: int
    peers: int
    pool: int
    ping: float
    tcp_sessions: int
    udp_sessions: int
    tcp_received: int
    tcp_sent: int
    udp_received: int
    udp_sent: int

    @classmethod
    def taken(cls, mode: int, peers: int, pool: int, ping: float, meter: Meter) -> Self:
        """Put together what an instance knows of itself, and what its meter has counted."""
        return cls(
            mode=mode,
            peers=peers,
            pool=pool,
            ping=ping,
            tcp_sessions=meter.tcp_sessions,
            udp_sessions=meter.udp_sessions,
            tcp_received=meter.tcp_rx.total,
            tcp_sent=meter.tcp_tx.total,
            udp_received=meter.udp_rx.total,
            udp_sent=meter.udp_tx.total,
        )

    def checkpoint(self) -> CheckPoint:
        """Give them as the CHECK_POINT line has them."""
        return CheckPoint(
            mode=self.mode,
            ping=round(self.ping * 1000),
            pool=self.pool,
            tcps=self.tcp_sessions,
            udps=self.udp_sessions,
            tcp_received=self.tcp_received,
            tcp_sent=self.tcp_sent,
            udp_received=self.udp_received,
            udp_sent=self.udp_sent,
        )

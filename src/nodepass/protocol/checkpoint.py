"""The CHECK_POINT line, which front ends parse (wire.md, "CHECK_POINT line")."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CheckPoint:
    """What an instance reports of itself every report interval.

    Args:
        mode: resolved run mode, 1 or 2.
        ping: milliseconds between ping and pong, or of a TCP connect to a target on a single-end client.
        pool: idle pool connections.
        tcps: TCP sessions in progress.
        udps: UDP sessions in progress.
        tcp_received: bytes read from TCP users or targets since the process began.
        tcp_sent: bytes written to them.
        udp_received: bytes read from UDP users or targets.
        udp_sent: bytes written to them.
    """

    mode: int
    ping: int
    pool: int
    tcps: int
    udps: int
    tcp_received: int
    tcp_sent: int
    udp_received: int
    udp_sent: int

    def format(self) -> str:
        """Give the line, without a newline."""
        return (
            f"CHECK_POINT|MODE={self.mode}|PING={self.ping}ms|POOL={self.pool}|TCPS={self.tcps}|UDPS={self.udps}"
            f"|TCPRX={self.tcp_received}|TCPTX={self.tcp_sent}|UDPRX={self.udp_received}|UDPTX={self.udp_sent}"
        )

"""The CHECK_POINT line, which front ends parse (wire.md, "CHECK_POINT line")."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_LINE: Final = re.compile(
    r"CHECK_POINT\|MODE=(\d)\|PING=(\d{1,9})ms\|POOL=(\d{1,9})\|TCPS=(\d{1,9})\|UDPS=(\d{1,9})"
    r"\|TCPRX=(\d{1,18})\|TCPTX=(\d{1,18})\|UDPRX=(\d{1,18})\|UDPTX=(\d{1,18})",
    re.ASCII,
)


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

    def figures(self) -> dict[str, int]:
        """Give the members by the names that the master's API has for them."""
        return {
            "mode": self.mode,
            "ping": self.ping,
            "pool": self.pool,
            "tcps": self.tcps,
            "udps": self.udps,
            "tcprx": self.tcp_received,
            "tcptx": self.tcp_sent,
            "udprx": self.udp_received,
            "udptx": self.udp_sent,
        }

    @classmethod
    def parse(cls, line: str) -> CheckPoint | None:
        """Read a line as `format` gives it; None where it is another."""
        match = _LINE.fullmatch(line)
        return None if match is None else cls(*map(int, match.groups()))

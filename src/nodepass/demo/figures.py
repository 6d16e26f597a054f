"""The demo's live figures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from nodepass.units import size_text

if TYPE_CHECKING:
    from nodepass.tunnel.stats import Stats


SHORTEST_MEASURE = 0.1
"""Seconds over which a rate is computed at least."""


class Figures:
    """Writes an instance's figures as a line, with the rates since the line before.

    Args:
        stats: where it begins.
    """

    def __init__(self, stats: Stats) -> None:
        self._when = time.monotonic()
        self._before = stats

    def line(self, stats: Stats) -> str:
        """Write the line for these figures."""
        now = time.monotonic()
        # Two lines may follow each other at once, at the end; a rate over so short a time would mean nothing.
        elapsed = max(now - self._when, SHORTEST_MEASURE)
        sent, received = _sums(stats)
        sent_before, received_before = _sums(self._before)
        sent_rate, received_rate = (sent - sent_before) / elapsed, (received - received_before) / elapsed
        self._when, self._before = now, stats
        return (
            f"{stats.tcp_sessions} TCP, {stats.udp_sessions} UDP users"
            f" | out {size_text(sent)}, {size_text(sent_rate)}/s"
            f" | in {size_text(received)}, {size_text(received_rate)}/s"
            f" | ping {round(stats.ping * 1000)} ms"
        )


def _sums(stats: Stats) -> tuple[int, int]:
    """Bytes sent to users and received from them, TCP and UDP together."""
    return stats.tcp_sent + stats.udp_sent, stats.tcp_received + stats.udp_received

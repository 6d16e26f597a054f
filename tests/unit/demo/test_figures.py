from __future__ import annotations

import pytest

from nodepass.demo.figures import Figures
from nodepass.tunnel.stats import Stats
from nodepass.units import size_text, time_text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.7, "1.0 kB"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (8_000_000, "8.0 MB"),
        (1.5e12, "1.5 TB"),
        (5e15, "5000.0 TB"),
    ],
)
def test_sizes(size: float, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.00005, "0.05 ms"), (0.0042, "4.2 ms"), (0.0104, "10 ms"), (0.12, "120 ms"), (2.46, "2.5 s")]
)
def test_times(seconds: float, text: str) -> None:
    assert time_text(seconds) == text


def stats(sent: int, received: int) -> Stats:
    return Stats(
        mode=1,
        peers=1,
        pool=64,
        ping=0.0042,
        tcp_sessions=12,
        udp_sessions=3,
        tcp_received=received,
        tcp_sent=sent,
        udp_received=0,
        udp_sent=0,
    )


def test_figures_tell_the_rate_since_the_line_before(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([10.0, 12.0, 12.0])
    monkeypatch.setattr("nodepass.demo.figures.time.monotonic", lambda: next(times))
    figures = Figures(stats(1_000_000, 0))
    assert (
        figures.line(stats(9_000_000, 500)) == "12 TCP, 3 UDP users | out 9.0 MB, 4.0 MB/s | in 500 B, 250 B/s | ping 4 ms"
    )
    assert "9.0 MB, 0 B/s" in figures.line(stats(9_000_000, 500))

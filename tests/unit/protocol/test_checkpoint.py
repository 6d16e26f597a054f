from __future__ import annotations

import pytest

from nodepass.protocol.checkpoint import CheckPoint


def test_line_is_exact() -> None:
    check_point = CheckPoint(
        mode=1, ping=4, pool=64, tcps=2, udps=0, tcp_received=123, tcp_sent=456, udp_received=0, udp_sent=0
    )
    expected = "CHECK_POINT|MODE=1|PING=4ms|POOL=64|TCPS=2|UDPS=0|TCPRX=123|TCPTX=456|UDPRX=0|UDPTX=0"
    assert check_point.format() == expected


def test_every_figure_has_its_own_place() -> None:
    line = CheckPoint(2, 3, 4, 5, 6, 7, 8, 9, 10).format()
    assert line == "CHECK_POINT|MODE=2|PING=3ms|POOL=4|TCPS=5|UDPS=6|TCPRX=7|TCPTX=8|UDPRX=9|UDPTX=10"


def test_a_line_is_read_back() -> None:
    check_point = CheckPoint(2, 3, 4, 5, 6, 7, 8, 9, 10**18 - 1)
    assert CheckPoint.parse(check_point.format()) == check_point


@pytest.mark.parametrize(
    "change", [("MODE=2", "MODE=x"), ("|UDPTX=10", ""), ("PING=3ms", "PING=3"), ("7", "-7"), ("7", "7" * 19)]
)
def test_another_line_is_none(change: tuple[str, str]) -> None:
    assert CheckPoint.parse(CheckPoint(2, 3, 4, 5, 6, 7, 8, 9, 10).format().replace(*change)) is None

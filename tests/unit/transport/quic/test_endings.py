"""Why a QUIC connection ended, in words for an operator."""

from __future__ import annotations

import pytest
from qh3.quic.events import ConnectionTerminated

from nodepass.transport.quic.endings import why_ended


@pytest.mark.parametrize(
    ("code", "reason", "told"),
    [
        (0, "", "None"),
        (1, "Idle timeout", "nothing was heard on the QUIC connection"),
        (0x12A, "bad certificate", "TLS alert 42: bad certificate"),
        (0xC, "", "the other side left in the midst of it"),
        (0xC, "for a reason", "for a reason"),
        (0xA, "", "QUIC error 10"),
    ],
)
def test_ends_are_told_in_words(code: int, reason: str, told: str) -> None:
    assert str(why_ended(ConnectionTerminated(code, None, reason))) == told

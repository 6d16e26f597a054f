"""How long things may take, and how much may be left: what both ends are told, and what the tests hold them to."""

from __future__ import annotations

from typing import Final

from nodepass.transport.base import LINGER
from tests.adversity.table import is_long

COOLDOWN: Final = 0.5
REPORT_INTERVAL: Final = 0.3
NOTICED: Final = 3 * REPORT_INTERVAL
HANDSHAKE_TIMEOUT: Final = 1.5
ENV: Final = {
    "NP_SERVICE_COOLDOWN": f"{COOLDOWN}s",
    "NP_REPORT_INTERVAL": f"{REPORT_INTERVAL}s",
    "NP_HANDSHAKE_TIMEOUT": f"{HANDSHAKE_TIMEOUT}s",
    "NP_TCP_DIAL_TIMEOUT": f"{HANDSHAKE_TIMEOUT}s",
    "NP_POOL_GET_TIMEOUT": f"{HANDSHAKE_TIMEOUT}s",
    "NP_UDP_READ_TIMEOUT": "1s",
}

FLUCTUATION: Final = 6
"""Descriptors that come and go: a pool's."""

NONE_LEFT: Final = ("relay.", "tunnel.session.", "tunnel.control.", "tunnel.upstream.", "tasks")
"""Beginnings of the names of what there is no more of than before there were users, when these are gone (`Census`)."""

PATIENCE: Final = LINGER + 3
"""Seconds until all that ended is gone: a link that broke is given so long to have its last bytes read."""

GIVEN_UP: Final = 2 * LINGER + 5
"""Seconds until what broke is over at both ends, where nobody reads: each end waits that long for its side to."""

PATIENT_INTERVAL: Final = 2.0
PATIENT: Final = {"NP_REPORT_INTERVAL": f"{PATIENT_INTERVAL}s", "NP_POOL_GET_TIMEOUT": "10s", "NP_HANDSHAKE_TIMEOUT": "10s"}
"""Variables where the test itself keeps the machine so busy that an end may seem dead."""

NOT_NOTICED: Final = NOTICED / 3
LONG_SILENCE: Final = NOTICED + 2 * COOLDOWN
"""Both sides have given up and tried again."""

BESIDES: Final = 0.0 if is_long() else 4.5
"""Seconds that the short form allows on top: how long things take beside all other tests says more about the machine."""

WITHIN: Final = COOLDOWN + 1.0 + BESIDES
"""Seconds from the end of a fault until users are served again. With four tests at a time, 1.0 was measured."""

TOLD_WITHIN: Final = NOTICED + HANDSHAKE_TIMEOUT + BESIDES
"""Seconds from the end of a fault until whoever broke is told so, and from then until the target is.

It is the time in which an end notices that the other is silent (that of `read` is as long), and that after which nobody
waits for a new session. With four tests at a time, 0.5 was measured: nearly all are told while the fault lasts.
"""

MOST_LINES: Final = 60
"""That a process at `log=info` may write about one fault, CHECK_POINTs aside."""

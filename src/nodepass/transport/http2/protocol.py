"""h2, with this project's settings.

The peer may send what the streams' own windows allow; the connection's window is as large as there is, so that it never
counts. Frames may be as large as the chunks that are sent here. Nobody pushes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes, Settings

from nodepass.policy.receive_window import SMALLEST
from nodepass.transport.http2.frames import FRAME_SIZE

if TYPE_CHECKING:
    from nodepass.transport.http2.frames import GuardedFrames

LARGEST_HEADERS = 16 * 1024
"""Most bytes of a request's or an answer's headers, decoded."""

LARGEST_WINDOW = 2**31 - 1
"""The largest window there is (RFC 9113, 6.9.1): that of the connection."""

FIRST_WINDOW = 2**16 - 1
"""What a connection's window begins with."""


class _Protocol(H2Connection):
    """h2, with a shorter memory of streams that are over: it tells late frames from wrong ones."""

    MAX_CLOSED_STREAMS = 4096


def make_protocol(frames: GuardedFrames, *, client: bool, most_streams: int) -> H2Connection:
    """One end's protocol.

    Args:
        frames: what comes from the peer.
        client: whether this end is the client's.
        most_streams: that the peer may open.
    """
    h2 = _Protocol(H2Configuration(client_side=client))
    h2.local_settings = Settings(
        client=client,
        initial_values={
            SettingCodes.ENABLE_PUSH: 0,
            SettingCodes.INITIAL_WINDOW_SIZE: SMALLEST,
            SettingCodes.MAX_FRAME_SIZE: FRAME_SIZE,
            SettingCodes.MAX_HEADER_LIST_SIZE: LARGEST_HEADERS,
            SettingCodes.MAX_CONCURRENT_STREAMS: most_streams,
        },
    )
    # These two h2 has taken from the settings that it began with.
    h2.max_inbound_frame_size = FRAME_SIZE
    h2.decoder.max_header_list_size = LARGEST_HEADERS
    h2.incoming_buffer = frames
    return h2


def begin_protocol(h2: H2Connection) -> None:
    """Say what the settings are."""
    h2.initiate_connection()
    h2.increment_flow_control_window(LARGEST_WINDOW - FIRST_WINDOW)

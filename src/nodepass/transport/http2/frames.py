"""What the peer of an HTTP/2 connection sends, cut into frames, on its way into h2.

h2 gets its frames from a `FrameBuffer`; a `GuardedFrames` stands in its place and does what h2 leaves to its users:

- It counts frames that carry nothing (PING, SETTINGS, resets, empty DATA …). Each costs the peer little and this end much,
  so there is an allowance of them, which grows with time and with what is really carried (RFC 9113, 10.5).
- It bounds the bytes that come without making a frame: h2 would wait for 16 MB before it says that a frame is too large,
  and keep 64 CONTINUATION frames of any size.
- It keeps GOAWAY from h2, which would end all streams there. RFC 9113, 6.8, lets those go on that the peer has taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from h2.exceptions import DenialOfServiceError, FrameTooLargeError
from h2.frame_buffer import FrameBuffer
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame

from nodepass.policy.token_bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from hyperframe.frame import Frame
    from typing_extensions import Buffer

FRAME_SIZE = 64 * 1024
"""Most bytes of a frame's payload, both ways: a chunk of this size is one frame."""

MOST_UNFRAMED = 2 * FRAME_SIZE
"""Bytes that may come without making a frame, on top of one read: a frame, and a request's headers in several."""

FRAMES_PER_SECOND = 1000
"""Frames that carry nothing, for which a peer needs no other reason."""

BURST = 2000
"""Most of these that can be saved up."""

BYTES_PER_FRAME = 1024
"""For so many bytes, sent or received, one more such frame is allowed."""

FRAMES_PER_STREAM = 16
"""For each stream that carries a pool connection, so many: its HEADERS, its end, a few windows."""

FRAMES_PER_HEADERS = 4
"""HEADERS count as so many: they are the dearest to read."""

FRAMES_PER_DATA = 2
"""For each DATA frame sent, so many: a window for the stream and one for the connection."""


class GuardedFrames(FrameBuffer):
    """The frames of one peer.

    Args:
        server: whether this end is the server.
        streams: the streams that are open; DATA for one of them is never too much, for its window bounds it.
        clock: seconds.
        farewell: called with each GOAWAY.
    """

    def __init__(
        self, *, server: bool, streams: Container[int], clock: Callable[[], float], farewell: Callable[[GoAwayFrame], None]
    ) -> None:
        super().__init__(server=server)
        self._streams = streams
        self._clock = clock
        self._farewell = farewell
        self._allowance = TokenBucket(FRAMES_PER_SECOND, BURST)
        self._unframed = 0
        self.earned = 0
        """Frames that the peer may send on top, and has not been credited for."""

    def add_data(self, data: Buffer) -> None:
        size = len(memoryview(data))
        self._unframed += size
        self.earned += size // BYTES_PER_FRAME
        super().add_data(data)

    def __next__(self) -> Frame:
        while True:
            try:
                frame = super().__next__()
            except StopIteration:
                if self._unframed > MOST_UNFRAMED:
                    message = "too many bytes without a whole frame"
                    raise FrameTooLargeError(message) from None
                raise
            self._unframed = 0
            # h2 makes a text of each frame for a log that nobody keeps; 64 KB in hexadecimal would be a third of all work.
            vars(frame)["_body_repr"] = str
            if not (isinstance(frame, DataFrame) and frame.data and frame.stream_id in self._streams):
                self._charge(FRAMES_PER_HEADERS if isinstance(frame, HeadersFrame) else 1)
                if isinstance(frame, GoAwayFrame):
                    self._farewell(frame)
                    continue
            return frame

    def _charge(self, count: int) -> None:
        now = self._clock()
        self._allowance.spend(count - self.earned, now)
        self.earned = 0
        if self._allowance.available(now) < 0:
            message = "too many frames that carry nothing"
            raise DenialOfServiceError(message)

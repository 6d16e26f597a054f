"""The frames of connections that users share."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from nodepass.errors import FrameError
from nodepass.protocol.yamux import FIN, LARGEST_PAYLOAD, RST, FrameReader
from tests.fuzz.target import Target, however_cut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Hearer:
    """Writes down what it hears, a payload as one, in however many pieces it came."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []
        self.payloads: list[bytearray] = []

    def on_data(self, stream_id: int, flags: int, length: int) -> Callable[[memoryview], None] | None:
        assert length <= LARGEST_PAYLOAD
        self.heard.append(("data", stream_id, flags, length))
        self.payloads.append(bytearray())
        # Every other stream's payload is dropped, as that of one that is over.
        return partial(self._take, self.payloads[-1], length) if stream_id % 2 else None

    @staticmethod
    def _take(payload: bytearray, length: int, piece: memoryview) -> None:
        payload += piece
        assert len(payload) <= length

    def on_whole_data(self, stream_id: int, flags: int, payload: memoryview) -> None:
        assert not flags & (FIN | RST)
        take = self.on_data(stream_id, flags, len(payload))
        if take is not None:
            take(payload)

    def on_data_end(self, stream_id: int, flags: int) -> None:
        self.heard.append(("end", stream_id, flags))

    def on_window_update(self, stream_id: int, flags: int, delta: int) -> None:
        self.heard.append(("window", stream_id, flags, delta))

    def on_ping(self, flags: int, value: int) -> None:
        self.heard.append(("ping", flags, value))

    def on_go_away(self, reason: int) -> None:
        self.heard.append(("go away", reason))


def frames(data: bytes) -> None:
    def read(parts: Iterable[bytes]) -> tuple[object, ...]:
        hearer = Hearer()
        reader = FrameReader(hearer)
        try:
            for part in parts:
                reader.feed(memoryview(part))
        except FrameError:
            return hearer.heard, hearer.payloads, FrameError
        return hearer.heard, hearer.payloads, None

    however_cut(data, read)


STREAMS = (Target("yamux", frames),)

"""What a verified connection carries: both sides can work out every byte from its number.

A user opens with a head: its number and how much goes each way. Both directions run at once. The user ends its direction;
the target, when it has had everything and that end, closes with a trailer. A user that has the trailer was served whole.
"""

from __future__ import annotations

import asyncio
import random
import struct
from dataclasses import dataclass
from typing import Final

_HEAD: Final = struct.Struct("!4sQII")
_TRAILER: Final = struct.Struct("!4sQ")
HEAD_SIZE: Final = _HEAD.size
TRAILER_SIZE: Final = _TRAILER.size
CHUNK: Final = 1 << 15

SMALL: Final = 1 << 16
"""Bytes of a socket's buffer: the system would take megabytes before anybody noticed that a connection stands still."""

NEVER_READ: Final = 0xFFFFFFFF
"""In the place of how much comes from the user: the target does not read any of it, and says nothing about that."""

ENDLESS: Final = 1 << 30
"""In the place of how much comes from the target: more than anybody waits for."""

_PERIOD: Final = (1 << 20) + 7
"""Longer than what gets lost or repeated at a time, and no multiple of any buffer's size."""

_ONCE: Final = random.Random(7).randbytes(_PERIOD)
_BLOCK: Final = _ONCE + _ONCE[:CHUNK]


class WrongContentError(Exception):
    """Other bytes came than were sent."""


class CutError(Exception):
    """The end came early, and looked like a proper one."""


@dataclass(frozen=True)
class Head:
    """What a connection announces.

    Args:
        number: of the connection.
        up: bytes from the user, behind the head.
        down: bytes from the target, before the trailer.
    """

    number: int
    up: int
    down: int

    def pack(self) -> bytes:
        """As bytes."""
        return _HEAD.pack(b"HEAD", self.number, self.up, self.down)

    @classmethod
    def unpack(cls, data: bytes) -> Head:
        """From bytes.

        Raises:
            WrongContentError: these are none.
        """
        magic, number, up, down = _HEAD.unpack(data)
        if magic != b"HEAD":
            raise WrongContentError(data.hex())
        return cls(number, up, down)

    @property
    def directions(self) -> tuple[int, int]:
        """Numbers of the two directions, up and down."""
        return 2 * self.number, 2 * self.number + 1

    @property
    def trailer(self) -> bytes:
        """What the target says last."""
        return _TRAILER.pack(b"TAIL", self.number)


def content(direction: int, start: int, size: int) -> bytes:
    """What stands from `start` on in a direction; at most `CHUNK` bytes."""
    offset = (direction * 7919 + start) % _PERIOD
    return _BLOCK[offset : offset + size]


async def send(writer: asyncio.StreamWriter, direction: int, size: int, pause: float = 0) -> None:
    """Send the content of a direction, with a pause of so many seconds before each chunk."""
    for start in range(0, size, CHUNK):
        if pause:
            await asyncio.sleep(pause)
        writer.write(content(direction, start, min(CHUNK, size - start)))
        await writer.drain()


async def receive(reader: asyncio.StreamReader, direction: int, size: int) -> None:
    """Read the content of a direction, and compare.

    Raises:
        WrongContentError: something else came.
        CutError: the end came early.
    """
    at = 0
    while at < size:
        data = await reader.read(min(CHUNK, size - at))
        if not data:
            message = f"{at} of {size} bytes"
            raise CutError(message)
        if data != content(direction, at, len(data)):
            message = f"direction {direction}, at {at} of {size}: {data[:32].hex()}"
            raise WrongContentError(message)
        at += len(data)


async def read_exactly(reader: asyncio.StreamReader, size: int) -> bytes:
    """Read so many bytes.

    Raises:
        CutError: the end came early.
    """
    data = b""
    while len(data) < size:
        more = await reader.read(size - len(data))
        if not more:
            message = f"{len(data)} of {size} bytes"
            raise CutError(message)
        data += more
    return data

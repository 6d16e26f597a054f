"""Messages between processes of this project as packets: one JSON object in each, over a socket that keeps packets whole.

A message is a frozen dataclass whose class says its `kind`; its members are what JSON has, and tuples of that. Both ends
are of one version: a packet that does not decode is a bug and raises.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from dataclasses import Field

LARGEST_PACKET: Final = 65536
"""Bytes; a URL, the longest thing in a packet, has a quarter of that at most."""


class Packable(Protocol):
    """A message."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    kind: ClassVar[str]


MessageT = TypeVar("MessageT", bound=Packable)


def encode(message: Packable) -> bytes:
    """Give a message's packet."""
    return json.dumps({"kind": message.kind, **asdict(message)}).encode("ascii")


def decoder(messages: Iterable[type[MessageT]]) -> Callable[[bytes], MessageT]:
    """Make what reads the packets of these messages, no two of one kind."""
    of_kind = {message.kind: message for message in messages}

    def decode(packet: bytes) -> MessageT:
        members = json.loads(packet)
        message = of_kind[members.pop("kind")]
        # JSON makes lists of tuples.
        return message(**{name: tuple(value) if isinstance(value, list) else value for name, value in members.items()})

    return decode

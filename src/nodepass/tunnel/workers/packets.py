"""Messages between the processes of one instance as packets: one JSON object in each.

Both ends are this project's own, in one version: a message that does not decode is a bug and raises.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, Final, TypeAlias, get_args

from nodepass.tunnel.workers.company_messages import Ask, Begun, Borrow, Came, Control, Lent, Over, Shows, Told
from nodepass.tunnel.workers.messages import (
    Bind,
    Bound,
    Finished,
    Judge,
    Judged,
    Progress,
    Release,
    Settled,
    Sibling,
    Start,
    Stop,
)

LARGEST_PACKET: Final = 65536
"""Bytes; a URL, the longest thing in a packet, has a quarter of that at most."""

MOST_DESCRIPTORS: Final = 64
"""Sockets in one packet: one for each address of a name."""

Message: TypeAlias = (
    Start
    | Sibling
    | Stop
    | Bind
    | Bound
    | Release
    | Settled
    | Progress
    | Finished
    | Judge
    | Judged
    | Ask
    | Told
    | Control
    | Begun
    | Over
    | Came
    | Shows
    | Borrow
    | Lent
)

_MESSAGES: Final = {message.kind: message for message in get_args(Message)}

_TUPLES: Final = ("ips", "features", "refuses")
"""Members that JSON makes lists of."""


def encode(message: Message) -> bytes:
    """Give a message's packet."""
    return json.dumps({"kind": message.kind, **asdict(message)}).encode("ascii")


def decode(packet: bytes) -> Message:
    """Read a packet."""
    members = json.loads(packet)
    for name in _TUPLES:
        if name in members:
            members[name] = tuple(members[name])
    message: Any = _MESSAGES[members.pop("kind")]
    decoded: Message = message(**members)
    return decoded

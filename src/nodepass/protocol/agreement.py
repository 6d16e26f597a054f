"""What server and client will do, as the server decides it and tells in its answer to the handshake (wire.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import Final

from nodepass.errors import HandshakeError

_HIGHEST_MAX: Final = 1_000_000


class Flow(Enum):
    """Which end listens for user traffic (wire.md, "Roles and flow")."""

    REVERSE = "-"
    """The server listens, the client dials the targets."""
    FORWARD = "+"
    """The client listens, the server dials the targets."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the server decides and the client adopts.

    Args:
        flow: which end listens for users.
        max: most pool connections, 1 to 1000000.
        tls: 0 none, 1 self-signed certificate, 2 verified certificate.
        type: pool transport: 0 TCP, 1 QUIC, 2 WebSocket, 3 HTTP/2.
    """

    flow: Flow
    max: int
    tls: int
    type: int

    def encode(self, extension: str = "") -> bytes:
        """Give the body of the server's answer, newline included; with the extension's message, if there is one."""
        members = self.members() | {"extension": extension} if extension else self.members()
        return f"{json.dumps(members, separators=(',', ':'))}\n".encode()

    def members(self) -> dict[str, object]:
        """Give the members of the server's answer, as they are written in JSON."""
        return {"flow": self.flow.value, "max": self.max, "tls": str(self.tls), "type": str(self.type)}

    @classmethod
    def from_members(cls, members: dict[str, object]) -> Agreement:
        """Read it from the members of the server's answer. Unknown ones are ignored.

        Raises:
            HandshakeError: one of the four members is missing or out of its range.
        """
        try:
            flow = Flow(members.get("flow"))
        except ValueError as error:
            raise HandshakeError("the server's answer has no known flow") from error
        most = members.get("max")
        # bool is an int to Python, but not to JSON.
        if not isinstance(most, int) or isinstance(most, bool) or not 1 <= most <= _HIGHEST_MAX:
            raise HandshakeError(f"the server's answer has no max in 1-{_HIGHEST_MAX}")
        return cls(flow, most, tls=_digit(members, "tls", highest=2), type=_digit(members, "type", highest=3))


def _digit(members: dict[str, object], name: str, *, highest: int) -> int:
    value = members.get(name)
    for number in range(highest + 1):
        if value == str(number):
            return number
    raise HandshakeError(f'the server\'s answer has no {name} in "0"-"{highest}"')

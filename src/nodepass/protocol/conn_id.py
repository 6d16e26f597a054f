"""Connection IDs: how both ends name one pool connection (wire.md, "Pool connections").

On a pool connection the ID is 4 raw bytes; everywhere else it is those bytes as 8 lower-case hex digits.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Final, NewType, TypeGuard

from nodepass.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Container

ConnectionId = NewType("ConnectionId", str)
"""8 lower-case hex digits."""

ID_SIZE: Final = 4
"""Bytes of an ID on a pool connection."""

CONTROL: Final = ConnectionId("00000000")
"""The first ID a server assigns: its connection is the control channel and carries no user."""

_HEX: Final = re.compile(r"[0-9a-f]{8}")


def is_connection_id(text: str) -> TypeGuard[ConnectionId]:
    """Tell whether ``text`` is written as a connection ID."""
    return _HEX.fullmatch(text) is not None


def from_bytes(raw: bytes) -> ConnectionId:
    """Read the ID that opens a pool connection.

    Raises:
        ProtocolError: ``raw`` is not `ID_SIZE` bytes long.
    """
    if len(raw) != ID_SIZE:
        raise ProtocolError(f"connection ID of {len(raw)} bytes, expected {ID_SIZE}")
    return ConnectionId(raw.hex())


def to_bytes(connection_id: ConnectionId) -> bytes:
    """Give the `ID_SIZE` bytes that open the pool connection of this ID."""
    return bytes.fromhex(connection_id)


def random_id(taken: Container[str] = ()) -> ConnectionId:
    """Choose an ID nobody can guess, never `CONTROL`.

    Args:
        taken: IDs in use, which are not given again. They must leave most IDs free, as any pool does.
    """
    while True:
        connection_id = ConnectionId(secrets.token_hex(ID_SIZE))
        if connection_id != CONTROL and connection_id not in taken:
            return connection_id

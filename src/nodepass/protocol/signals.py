r"""The control channel: one signal per line (wire.md, "Control channel").

A line is ``base64(compact JSON XOR repeated tunnel key) + "\n"``. In three parts, so that another cipher can take the place
of XOR (`sealed`): the JSON (`to_json`, `from_json`), the cipher (`SignalCodec`) and the line around it (`write_line`,
`read_line`).

What always holds:

* a `Signal` that a `Codec` decodes has exactly the members its action needs, each of the right form (only the ``fp`` of a
  ``verify`` may be empty);
* a line, read or written, is at most `LINE_LIMIT` bytes, and `LineSplitter` holds no more than that;
* whatever the bytes, decoding ends in a `Signal` or a `SignalError`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from nodepass.errors import SignalError
from nodepass.protocol.conn_id import CONTROL, ConnectionId, is_connection_id
from nodepass.protocol.json_object import parse_object
from nodepass.protocol.remote import parse_remote
from nodepass.protocol.tunnel_key import key_bytes

LINE_LIMIT: Final = 16 * 1024
"""Longest line in bytes, without its newline."""

# What LINE_LIMIT base64 digits can hold, and what of it is left beside the tag of a sealed line.
_RAW_LIMIT: Final = LINE_LIMIT // 4 * 3
_JSON_LIMIT: Final = _RAW_LIMIT - 16

_NO_ID: Final = ConnectionId("")
_FINGERPRINT: Final = re.compile(r"sha256:(?:[0-9A-F]{2}:){31}[0-9A-F]{2}")
_encode_json: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class Action(Enum):
    """What a signal asks of the other end."""

    TCP = "tcp"
    """A user's TCP connection waits on a pool connection. Needs ``remote`` and ``id``."""
    UDP = "udp"
    """The same for a UDP session."""
    PING = "ping"
    PONG = "pong"
    FLUSH = "flush"
    """Drop all idle pool connections and reset the error count."""
    VERIFY = "verify"
    """Compare the certificate of an idle pool connection. Needs ``id``; ``fp`` where it is known."""
    PIN = "pin"
    """The server has another certificate from now on. Needs ``fp``. Goes over sealed channels only (extension.md)."""
    LEAVE = "leave"
    """This end ends the session; each of its users' connections is ended or broken for all to see. Goes over sealed
    channels only."""


LAUNCHES: Final = frozenset({Action.TCP, Action.UDP})
"""What tells of a user."""

SEALED_ONLY: Final = frozenset({Action.PIN, Action.LEAVE})
"""What is said over sealed channels only: nobody else may say it, and no v1 peer knows it."""


@dataclass(frozen=True, slots=True)
class Signal:
    """One message of the control channel.

    Args:
        action: what is asked.
        remote: the user's address, ``ip:port`` or ``[ip6]:port``; empty when the action has none.
        id: the pool connection that is meant; empty when the action has none.
        fp: fingerprint of the server certificate as `fingerprint` writes it; empty when the action has none.
        name: of a user, so that it is known when it is announced again; in a `launch` only, and empty where it has none.
    """

    action: Action
    remote: str = ""
    id: ConnectionId = _NO_ID
    fp: str = ""
    name: str = ""


class Codec(Protocol):
    """Signals to lines and back."""

    def encode(self, signal: Signal) -> bytes:
        """Write a signal as its line, newline included.

        Raises:
            SignalError: the line would be longer than `LINE_LIMIT`, or this channel does not carry the action.
        """

    def decode(self, line: bytes) -> Signal:
        """Read a line, with or without its newline.

        Members the action does not need are ignored, and so are unknown ones.

        Raises:
            SignalError: the line is too long, does not decode under the codec's key, has an action that is unknown or not
                for this channel, or a member that is missing or of the wrong form.
        """


class SignalCodec:
    """The `Codec` of v1: XOR with the tunnel key.

    Args:
        key: the tunnel key.

    Raises:
        ValueError: the key is empty.
    """

    def __init__(self, key: str) -> None:
        raw_key = key_bytes(key)
        if not raw_key:
            message = "the tunnel key is empty"
            raise ValueError(message)
        self._pad = (raw_key * (_RAW_LIMIT // len(raw_key) + 1))[:_RAW_LIMIT]

    def encode(self, signal: Signal) -> bytes:
        if signal.action in SEALED_ONLY:
            raise SignalError(f"{signal.action.value} goes over a sealed channel only")
        return write_line(self._xor(to_json(signal)))

    def decode(self, line: bytes) -> Signal:
        try:
            members = parse_object(self._xor(read_line(line)))
        except ValueError as error:
            # The usual cause is a peer with another key, or none; the bytes themselves say nothing to a reader.
            raise SignalError(f"line of {len(line)} bytes is not a signal under this key") from error
        signal = from_json(members)
        if signal.action in SEALED_ONLY:
            raise SignalError(f"{signal.action.value} came over a channel that is not sealed")
        return signal

    def _xor(self, data: bytes) -> bytes:
        # As two big numbers: one pass in C, where a loop over bytes would cost more than all the rest.
        size = len(data)
        return (int.from_bytes(data, "big") ^ int.from_bytes(self._pad[:size], "big")).to_bytes(size, "big")


def write_line(raw: bytes) -> bytes:
    """Write bytes as a line, newline included."""
    return base64.b64encode(raw) + b"\n"


def read_line(line: bytes) -> bytes:
    """Read the bytes of a line, with or without its newline.

    Raises:
        SignalError: it is longer than `LINE_LIMIT`, or is not base64.
    """
    line = line.removesuffix(b"\n")
    if len(line) > LINE_LIMIT:
        raise SignalError(f"line of {len(line)} bytes, at most {LINE_LIMIT}")
    try:
        return binascii.a2b_base64(line, strict_mode=True)
    except ValueError as error:
        raise SignalError(f"line of {len(line)} bytes is not base64") from error


def to_json(signal: Signal) -> bytes:
    """Write a signal as compact JSON.

    Raises:
        SignalError: its line would be longer than `LINE_LIMIT`.
    """
    members = {"action": signal.action.value}
    if signal.remote:
        members["remote"] = signal.remote
    if signal.id:
        members["id"] = signal.id
    if signal.fp:
        members["fp"] = signal.fp
    plain = _encode_json(members).encode("utf-8")
    if len(plain) > _JSON_LIMIT:
        raise SignalError(f"signal of {len(plain)} bytes, at most {_JSON_LIMIT}")
    return plain


def from_json(members: dict[str, object]) -> Signal:
    """Read the members of a signal; those the action does not need are ignored.

    Raises:
        SignalError: the action is unknown, or a member that it needs is missing or of the wrong form.
    """
    action = read_action(members)
    remote, connection_id, fp = read_text(members, "remote"), read_text(members, "id"), read_text(members, "fp")
    if action in LAUNCHES:
        parse_remote(remote)
        return Signal(action, remote=remote, id=_pool_connection(connection_id))
    # v1's server with certificate files sends a verify without fingerprint.
    has_fp = action is Action.PIN or (action is Action.VERIFY and fp)
    if has_fp and not is_fingerprint(fp):
        raise SignalError(f"fp is {fp[:40]!r}, expected sha256: and 32 upper-case hex pairs")
    if action is Action.VERIFY:
        return Signal(action, id=_pool_connection(connection_id), fp=fp)
    return Signal(action, fp=fp if action is Action.PIN else "")


def read_action(members: dict[str, object]) -> Action:
    """Read the action of a signal.

    Raises:
        SignalError: it is missing or unknown.
    """
    name = read_text(members, "action")
    try:
        return Action(name)
    except ValueError as error:
        raise SignalError(f"unknown action {name[:40]!r}") from error


def read_text(members: dict[str, object], name: str) -> str:
    """Read a member that is a string; empty where it is missing.

    Raises:
        SignalError: it is something else.
    """
    value = members.get(name, "")
    if not isinstance(value, str):
        raise SignalError(f"{name} is not a string")
    return value


def _pool_connection(text: str) -> ConnectionId:
    # The control channel cannot be taken for a user: that would end the session from within.
    if not is_connection_id(text) or text == CONTROL:
        raise SignalError(f"id is {text[:40]!r}, expected 8 lower-case hex digits, not {CONTROL}")
    return text


def fingerprint(der: bytes) -> str:
    """Give the fingerprint of a certificate as a ``verify`` signal carries it.

    Args:
        der: the certificate in DER.

    Returns:
        ``sha256:`` and upper-case hex pairs joined by ``:``.
    """
    return "sha256:" + hashlib.sha256(der).digest().hex(":").upper()


def is_fingerprint(text: str) -> bool:
    """Tell whether ``text`` is written as `fingerprint` writes it."""
    return _FINGERPRINT.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Overlong:
    """Stands in the place of a line that was over the limit and has been dropped.

    Args:
        limit: the limit in bytes.
    """

    limit: int


class LineSplitter:
    r"""Cuts the control channel's byte stream into lines.

    A line that grows over the limit is reported once, as soon as it does, and dropped up to its newline.

    Args:
        limit: longest line in bytes, without its newline; also the most this object ever holds.
    """

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self._limit = limit
        self._partial = bytearray()
        self._dropping = False

    def feed(self, data: bytes) -> list[bytes | Overlong]:
        r"""Take the next bytes.

        Returns:
            The lines they complete, in order and without ``\n``; `Overlong` in the place of each that was too long.
        """
        found: list[bytes | Overlong] = []
        *ends, tail = data.split(b"\n")
        for end in ends:
            self._extend(end, found)
            if not self._dropping:
                found.append(bytes(self._partial))
            self._partial.clear()
            self._dropping = False
        self._extend(tail, found)
        return found

    def _extend(self, piece: bytes, found: list[bytes | Overlong]) -> None:
        if self._dropping:
            return
        if len(self._partial) + len(piece) > self._limit:
            self._partial.clear()
            self._dropping = True
            found.append(Overlong(self._limit))
        else:
            self._partial += piece

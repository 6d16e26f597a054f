r"""The control channel: one signal per line (wire.md, "Control channel").

A line is ``base64(compact JSON XOR repeated tunnel key) + "\n"``. Two halves, kept apart so that another cipher can
take the place of XOR: the JSON (`_to_json`, `_from_json`) and the line around it (`SignalCodec`).

What always holds:

* a `Signal` that `SignalCodec.decode` returns has exactly the members its action needs, each of the right form (only the
  ``fp`` of a ``verify`` may be empty);
* a line, read or written, is at most `LINE_LIMIT` bytes, and `LineSplitter` holds no more than that;
* whatever the bytes, decoding ends in a `Signal` or a `SignalError`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from nodepass.errors import SignalError
from nodepass.protocol.conn_id import CONTROL, ConnectionId, is_connection_id
from nodepass.protocol.json_object import parse_object
from nodepass.protocol.tunnel_key import key_bytes

LINE_LIMIT: Final = 16 * 1024
"""Longest line in bytes, without its newline."""

# What LINE_LIMIT base64 digits can hold.
_PLAIN_LIMIT: Final = LINE_LIMIT // 4 * 3

_NO_ID: Final = ConnectionId("")
_FINGERPRINT: Final = re.compile(r"sha256:(?:[0-9A-F]{2}:){31}[0-9A-F]{2}")
# An IPv6 address may carry a zone ("%eth0"), as link-local users of a v1 peer do.
_REMOTE: Final = re.compile(
    r"(?:(?P<ipv4>[0-9.]{7,15})|\[(?P<ipv6>[0-9A-Fa-f:.]{2,45}(?:%[0-9A-Za-z_.-]{1,32})?)\]):(?P<port>0|[1-9][0-9]{0,4})"
)
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


_LAUNCHES: Final = frozenset({Action.TCP, Action.UDP})


@dataclass(frozen=True, slots=True)
class Signal:
    """One message of the control channel.

    Args:
        action: what is asked.
        remote: the user's address, ``ip:port`` or ``[ip6]:port``; empty when the action has none.
        id: the pool connection that is meant; empty when the action has none.
        fp: fingerprint of the server certificate as `fingerprint` writes it; empty when the action has none.
    """

    action: Action
    remote: str = ""
    id: ConnectionId = _NO_ID
    fp: str = ""


class SignalCodec:
    """Signals to lines and back, under one tunnel key.

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
        self._pad = (raw_key * (_PLAIN_LIMIT // len(raw_key) + 1))[:_PLAIN_LIMIT]

    def encode(self, signal: Signal) -> bytes:
        """Write a signal as its line, newline included.

        Raises:
            SignalError: the line would be longer than `LINE_LIMIT`.
        """
        plain = _to_json(signal)
        if len(plain) > _PLAIN_LIMIT:
            raise SignalError(f"signal of {len(plain)} bytes, at most {_PLAIN_LIMIT}")
        return base64.b64encode(self._xor(plain)) + b"\n"

    def decode(self, line: bytes) -> Signal:
        """Read a line, with or without its newline.

        Members the action does not need are ignored, and so are unknown ones.

        Raises:
            SignalError: the line is too long, is not base64 of a JSON object under this key, has an unknown action, or
                a member that is missing or of the wrong form.
        """
        line = line.removesuffix(b"\n")
        if len(line) > LINE_LIMIT:
            raise SignalError(f"line of {len(line)} bytes, at most {LINE_LIMIT}")
        try:
            members = parse_object(self._xor(binascii.a2b_base64(line, strict_mode=True)))
        except ValueError as error:
            # The usual cause is a peer with another key, or none; the bytes themselves say nothing to a reader.
            raise SignalError(f"line of {len(line)} bytes is not a signal under this key") from error
        return _from_json(members)

    def _xor(self, data: bytes) -> bytes:
        # As two big numbers: one pass in C, where a loop over bytes would cost more than all the rest.
        size = len(data)
        return (int.from_bytes(data, "big") ^ int.from_bytes(self._pad[:size], "big")).to_bytes(size, "big")


def _to_json(signal: Signal) -> bytes:
    members = {"action": signal.action.value}
    if signal.remote:
        members["remote"] = signal.remote
    if signal.id:
        members["id"] = signal.id
    if signal.fp:
        members["fp"] = signal.fp
    return _encode_json(members).encode("utf-8")


def _from_json(members: dict[str, object]) -> Signal:
    name = _text(members, "action")
    try:
        action = Action(name)
    except ValueError as error:
        raise SignalError(f"unknown action {name[:40]!r}") from error
    remote, connection_id, fp = _text(members, "remote"), _text(members, "id"), _text(members, "fp")
    if action in _LAUNCHES:
        parse_remote(remote)
        return Signal(action, remote=remote, id=_pool_connection(connection_id))
    if action is Action.VERIFY:
        # v1's server with certificate files sends none.
        if fp and not _FINGERPRINT.fullmatch(fp):
            raise SignalError(f"fp is {fp[:40]!r}, expected sha256: and 32 upper-case hex pairs")
        return Signal(action, id=_pool_connection(connection_id), fp=fp)
    return Signal(action)


def _text(members: dict[str, object], name: str) -> str:
    value = members.get(name, "")
    if not isinstance(value, str):
        raise SignalError(f"{name} is not a string")
    return value


def _pool_connection(text: str) -> ConnectionId:
    # The control channel cannot be taken for a user: that would end the session from within.
    if not is_connection_id(text) or text == CONTROL:
        raise SignalError(f"id is {text[:40]!r}, expected 8 lower-case hex digits, not {CONTROL}")
    return text


def parse_remote(remote: str) -> tuple[str, int]:
    """Split the user's address of a launch signal.

    Args:
        remote: ``ip:port`` or ``[ip6]:port``.

    Returns:
        The IP address, without brackets, and the port.

    Raises:
        SignalError: it is anything else.
    """
    match = _REMOTE.fullmatch(remote)
    if match is not None:
        address, port = match["ipv4"] or match["ipv6"], int(match["port"])
        try:
            ipaddress.ip_address(address)
        except ValueError:
            pass
        else:
            if port <= 65535:
                return address, port
    raise SignalError(f"remote is {remote[:60]!r}, expected ip:port")


def fingerprint(der: bytes) -> str:
    """Give the fingerprint of a certificate as a ``verify`` signal carries it.

    Args:
        der: the certificate in DER.

    Returns:
        ``sha256:`` and upper-case hex pairs joined by ``:``.
    """
    return "sha256:" + hashlib.sha256(der).digest().hex(":").upper()


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

"""The launch signal at the head of a pool connection (extension.md, ``inband``), and the answer to it (``confirm``).

A 2-byte big-endian length, then the signal's compact JSON. Its connection is the one it came on, so it has no `id`. With
``confirm`` a user has a `name`, which no other has: who is announced again, because the way broke, is known by it. An
egress that knows no names ignores it, as any member that it does not know.
"""

from __future__ import annotations

import re
from typing import Final

from nodepass.errors import SignalError
from nodepass.protocol.json_object import parse_object
from nodepass.protocol.remote import parse_remote
from nodepass.protocol.signals import LAUNCHES, Action, Signal, read_action, read_text

LIMIT: Final = 1024
"""Most bytes of a launch, length included."""

CONFIRMED: Final = b"\x01"
"""With ``confirm``, the first byte that an egress sends back on a TCP user's connection, once its target is reached."""

REFUSED: Final = b"\x00"
"""What it sends back instead when it reaches none."""

REPEATED: Final = b"\x02"
"""What it sends back where a target has been reached for this user before, and may have heard of it. An ingress that does
not know this word takes the way for broken."""

LONGEST_NAME: Final = 32

_LENGTH_SIZE: Final = 2
_NAME: Final = re.compile(rf"[0-9a-f]{{0,{LONGEST_NAME}}}")


def encode_launch(action: Action, remote: str, name: str = "") -> bytes:
    """Write what stands at the head of a user's connection.

    Args:
        action: `Action.TCP` or `Action.UDP`.
        remote: the user's address, as a `Signal` has it.
        name: the user's, as hex digits; at most `LONGEST_NAME` of them.

    Raises:
        SignalError: it would be longer than `LIMIT`.
    """
    # As `to_json` has it, in a fraction of the time: there is one for each user. An address needs no quoting.
    named = f',"name":"{name}"' if name else ""
    plain = f'{{"action":"{action.value}","remote":"{remote}"{named}}}'.encode()
    if len(plain) > LIMIT - _LENGTH_SIZE:
        raise SignalError(f"launch of {len(plain)} bytes, at most {LIMIT - _LENGTH_SIZE}")
    return len(plain).to_bytes(_LENGTH_SIZE, "big") + plain


class LaunchReader:
    """Reads the head of one connection, which may come in any pieces. Of no more use once it has given a signal.

    What always holds: it keeps less than `LIMIT` bytes.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> tuple[Signal, bytes] | None:
        """Take the next bytes.

        Returns:
            None while the launch is not whole, then the signal and the bytes behind it, which are the user's.

        Raises:
            SignalError: it is too long, not a JSON object, no launch, without a user's address, or its name is none.
        """
        held = self._held + data
        if len(held) >= _LENGTH_SIZE:
            end = _LENGTH_SIZE + int.from_bytes(held[:_LENGTH_SIZE], "big")
            if end > LIMIT:
                raise SignalError(f"launch of {end} bytes, at most {LIMIT}")
            if len(held) >= end:
                return _parse(held[_LENGTH_SIZE:end]), held[end:]
        self._held = held
        return None


def _parse(plain: bytes) -> Signal:
    try:
        members = parse_object(plain)
    except ValueError as error:
        raise SignalError(f"launch of {len(plain)} bytes is not a JSON object") from error
    action, remote = read_action(members), read_text(members, "remote")
    if action not in LAUNCHES:
        raise SignalError(f"{action.value} is no launch, expected tcp or udp")
    parse_remote(remote)
    name = read_text(members, "name")
    if not _NAME.fullmatch(name):
        raise SignalError(f"a name of {len(name)} characters, expected at most {LONGEST_NAME} hex digits")
    return Signal(action, remote=remote, name=name)

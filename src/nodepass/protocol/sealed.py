r"""The control channel under the session's own keys (extension.md, ``seal``).

A line is ``base64(Noise transport message) + "\n"``. The order counts: a line that was changed, repeated or put in another
place does not open, and neither does any after one that is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodepass.errors import SignalError
from nodepass.protocol.json_object import parse_object
from nodepass.protocol.signals import from_json, read_line, to_json, write_line

if TYPE_CHECKING:
    from nodepass.protocol.session_keys import SessionKeys
    from nodepass.protocol.signals import Signal


class SealedCodec:
    """Signals to lines and back, in the place of `SignalCodec`.

    Args:
        keys: of the session; no other codec may use them.
    """

    def __init__(self, keys: SessionKeys) -> None:
        self._keys = keys

    def encode(self, signal: Signal) -> bytes:
        """Write a signal as its line, newline included. Lines must be sent in the order in which they were written.

        Raises:
            SignalError: the line would be longer than `LINE_LIMIT`.
        """
        return write_line(self._keys.seal(to_json(signal)))

    def decode(self, line: bytes) -> Signal:
        """Read the next line, with or without its newline. A line that does not open is as if it had not come.

        Raises:
            SignalError: the line is too long, is not the next one that the peer sealed, or holds no signal.
        """
        plain = self._keys.open(read_line(line))
        try:
            members = parse_object(plain)
        except ValueError as error:
            raise SignalError(f"sealed line of {len(line)} bytes is not a JSON object") from error
        return from_json(members)

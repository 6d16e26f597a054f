"""Tell by its first bytes which protocol a user speaks (config.md, parameter ``block``).

The caller forwards what it reads while the answer is still `Verdict.UNDECIDED`: a user who waits for the server to
speak first must not hang, so nothing is ever held back here. The three protocols differ in their first byte, so at most
one of them is still possible at any time, and `MOST_NEEDED` bytes always decide.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

_METHOD_LIMIT: Final = 20
_METHOD: Final = re.compile(rb"[A-Z]{1,%d} " % _METHOD_LIMIT)
_METHOD_SO_FAR: Final = re.compile(rb"[A-Z]{0,%d}" % _METHOD_LIMIT)

MOST_NEEDED: Final = _METHOD_LIMIT + 1
"""Bytes after which a verdict is certain: the longest HTTP method and its space."""


class Verdict(Enum):
    """What a user's first bytes are."""

    UNDECIDED = "undecided"
    CLEAR = "clear"
    """None of the blocked protocols."""
    SOCKS4 = "SOCKS4"
    SOCKS5 = "SOCKS5"
    HTTP = "HTTP"
    TLS = "TLS"


def begins_like_http(prefix: bytes) -> bool | None:
    """Tell whether ``prefix`` begins an HTTP/1 request: an upper-case method of at most 20 letters, then a space.

    Returns:
        None while more bytes are needed to tell.
    """
    if _METHOD.match(prefix):
        return True
    return None if _METHOD_SO_FAR.fullmatch(prefix) else False


class Sniffer:
    """Watches the first bytes of one user connection for the protocols that are blocked.

    Args:
        socks: look for SOCKS4 (``04`` and a command 1-2) and SOCKS5 (``05`` and 1-3 methods).
        http: look for an HTTP request.
        tls: look for a TLS handshake record (``16 03``).
    """

    def __init__(self, *, socks: bool, http: bool, tls: bool) -> None:
        self._socks = socks
        self._http = http
        self._tls = tls
        self._prefix = b""
        self._verdict = Verdict.UNDECIDED if socks or http or tls else Verdict.CLEAR

    def feed(self, data: bytes) -> Verdict:
        """Look at the next bytes the user sent.

        Returns:
            The verdict on all bytes so far. Once it is not `Verdict.UNDECIDED` it stays.
        """
        if self._verdict is Verdict.UNDECIDED and data:
            self._prefix += data[: MOST_NEEDED - len(self._prefix)]
            self._verdict = self._judge()
        return self._verdict

    def _judge(self) -> Verdict:
        first = self._prefix[0]
        if first == 0x04 and self._socks:
            return self._by_second_byte(b"\x01\x02", Verdict.SOCKS4)
        if first == 0x05 and self._socks:
            return self._by_second_byte(b"\x01\x02\x03", Verdict.SOCKS5)
        if first == 0x16 and self._tls:
            return self._by_second_byte(b"\x03", Verdict.TLS)
        if self._http:
            is_http = begins_like_http(self._prefix)
            if is_http is None:
                return Verdict.UNDECIDED
            return Verdict.HTTP if is_http else Verdict.CLEAR
        return Verdict.CLEAR

    def _by_second_byte(self, expected: bytes, found: Verdict) -> Verdict:
        if len(self._prefix) < 2:
            return Verdict.UNDECIDED
        return found if self._prefix[1] in expected else Verdict.CLEAR

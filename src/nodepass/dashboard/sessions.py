"""Who is signed in: random tokens, of which only hashes are kept, and which end with the key that they were given for."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.master.api.core import Identity

IDLE_LIFE: Final = 12 * 3600.0
"""Seconds without a sign of the browser after which a session ends; an open page gives one every few seconds."""

WHOLE_LIFE: Final = 7 * 86400.0
"""Seconds after which it ends in any case."""

MOST: Final = 100
"""Sessions at a time; one more ends the one that was used the longest ago."""

_TOKEN_BYTES: Final = 32


@dataclass(slots=True, eq=False)
class Session:
    """One browser that has shown the key.

    Args:
        key_hash: of the key that it has shown.
        begun: when, in seconds of the clock of its `Sessions`.
        used: when it was last used.
    """

    key_hash: bytes = field(repr=False)
    begun: float
    used: float
    ended: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    """Set when it has been ended, so that what is open in its name closes."""


class Sessions:
    """The sessions of one master.

    Args:
        master: whose key opens one.
        clock: gives seconds.
    """

    def __init__(self, master: Identity, clock: Callable[[], float]) -> None:
        self._master = master
        self._clock = clock
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def begin(self) -> str:
        """Begin a session for somebody who has shown the key; gives its token."""
        while len(self._sessions) >= MOST:
            self._sessions.popitem(last=False)[1].ended.set()
        token, now = secrets.token_urlsafe(_TOKEN_BYTES), self._clock()
        self._sessions[_hash(token)] = Session(self._key_hash(), now, now)
        return token

    def find(self, token: str) -> Session | None:
        """The session of a token, if it is one and holds."""
        name = _hash(token)
        session = self._sessions.get(name)
        if session is None:
            return None
        if not self.holds(session):
            del self._sessions[name]
            return None
        self._sessions.move_to_end(name)
        return session

    def holds(self, session: Session) -> bool:
        """Whether a session has not ended; that it was asked for is a sign of the browser. One that is over is told so."""
        now = self._clock()
        is_young = now - session.used < IDLE_LIFE and now - session.begun < WHOLE_LIFE
        if not is_young or not hmac.compare_digest(session.key_hash, self._key_hash()):
            session.ended.set()
        session.used = now
        return not session.ended.is_set()

    def end(self, token: str) -> None:
        """End a session, if the token has one."""
        session = self._sessions.pop(_hash(token), None)
        if session is not None:
            session.ended.set()

    def end_all(self) -> None:
        """End every session."""
        for session in self._sessions.values():
            session.ended.set()
        self._sessions.clear()

    def _key_hash(self) -> bytes:
        return sha256(self._master.api_key.reveal().encode()).digest()


def _hash(token: str) -> bytes:
    return sha256(token.encode("utf-8", "replace")).digest()

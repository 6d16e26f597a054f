"""The server's sessions, and how a connection finds its own.

A session of the extension is known by the ID in each connection's proof, wherever that comes from. A v1 session is known by
its client's address, so there is at most one at each.

What always holds: a session takes the place of its client's former one when that client has opened a connection of it. A
handshake alone may be one that somebody has held back or recorded, and ends nothing.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nodepass.tunnel.place import Place
    from nodepass.tunnel.session import Session


class Sessions:
    """All of one server."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._by_id: dict[bytes, Session] = {}
        self._branches: set[Session] = set()
        """Sessions that another process keeps."""
        self._by_client: dict[str, Session] = {}
        self._by_address: dict[str, Session] = {}
        self._begun_at: Counter[str] = Counter()
        self._shared: set[str] = set()
        """Addresses of v1 sessions where a client that proves itself has shown up as well."""

    def __iter__(self) -> Iterator[Session]:
        return iter((*self._by_id.values(), *self._by_address.values(), *self._branches))

    def add_branch(self, branch: Session) -> None:
        """A session begins that another process keeps."""
        self._branches.add(branch)

    def add(self, session: Session) -> None:
        """A session begins."""
        dialect = session.dialect
        if dialect.keys is None or not dialect.proves:
            self._by_address[session.peer.ip] = session
            if session.peer.ip in self._begun_at:
                self.share(session.peer.ip)
            return
        self._by_id[dialect.keys.session] = session
        self._place.keeps(len(self._by_id))
        self._begun_at[session.peer.ip] += 1
        self.share(session.peer.ip)

    def opened(self, session: Session) -> Session | None:
        """The client of a session has opened its first connection; gives the session that it had before."""
        client = session.dialect.client
        if not client:
            return None
        previous = self._by_client.get(client)
        self._by_client[client] = session
        return previous

    def forget_client(self, client: str) -> Session | None:
        """A client has opened the first connection of a session that another process keeps; gives the one it had here."""
        return self._by_client.pop(client, None)

    def remove(self, session: Session) -> None:
        """A session has ended; it may have been removed before."""
        if session in self._branches:
            self._branches.discard(session)
            return
        ip, dialect = session.peer.ip, session.dialect
        if dialect.keys is None or not dialect.proves:
            if self._by_address.get(ip) is session:
                del self._by_address[ip]
                self._shared.discard(ip)
        elif self._by_id.pop(dialect.keys.session, None) is not None:
            self._place.keeps(len(self._by_id))
            self._begun_at[ip] -= 1
            if not self._begun_at[ip]:
                del self._begun_at[ip]
            if self._by_client.get(dialect.client) is session:
                del self._by_client[dialect.client]

    def known_by_address(self, ip: str) -> Session | None:
        """The v1 session of the client at this address."""
        return self._by_address.get(ip)

    def known_by_id(self, session_id: bytes) -> Session | None:
        """The session of this ID."""
        return self._by_id.get(session_id)

    def expected_from(self, ip: str) -> bool:
        """Whether a connection from this address may be a pool connection."""
        return self.prove_themselves or ip in self._by_address

    @property
    def prove_themselves(self) -> bool:
        """Whether there are sessions whose connections may come from anywhere."""
        return bool(self._by_id) or self._place.kept_elsewhere

    def share(self, ip: str) -> None:
        """A client that proves itself has shown up at the address of a v1 client."""
        if ip in self._by_address:
            self._shared.add(ip)

    def expects_proof_from(self, ip: str) -> bool:
        """Whether clients that prove themselves are known to be at this address, where a v1 client may be as well."""
        return ip in self._begun_at or ip in self._shared

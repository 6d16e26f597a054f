"""Who may begin a session with a server: judges each handshake, and remembers what has been tried.

What always holds:

- A message of the extension opens one session: what has been used, or is too old to be remembered, is refused as a wrong
  token is. So a handshake that somebody recorded is worth nothing.
- A source that has failed too often waits, whatever it brings then. So guessing is slow, and costs the others nothing.
- The tunnel key is stretched once, in a thread, when the first client needs it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from time import time
from typing import TYPE_CHECKING

from nodepass.log import WARN
from nodepass.protocol.extension import MOST_AGE, ServerExtension
from nodepass.protocol.handshake import UNAUTHORIZED
from nodepass.protocol.tunnel_key import pre_shared_key
from nodepass.tunnel.memory import Attempt

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.config import Secret
    from nodepass.net.address import Address
    from nodepass.protocol.extension import Offer
    from nodepass.protocol.handshake import Verdict
    from nodepass.tunnel.memory import Ruling
    from nodepass.tunnel.resources import Resources

    Admit = Callable[["Proven | None"], None]
    Refuse = Callable[[HTTPStatus, str], None]


@dataclass(frozen=True, slots=True)
class Proven:
    """A client that has proved the key with the extension.

    Args:
        offer: what it said.
        extension: what answers it.
    """

    offer: Offer
    extension: ServerExtension


class Doorkeeper:
    """Judges the handshakes of one server.

    Args:
        secret: the tunnel key.
        resources: of the instance; of its place, the memory of what has been tried.
    """

    def __init__(self, secret: Secret, resources: Resources) -> None:
        self._loop = asyncio.get_running_loop()
        self._secret = secret
        self._log = resources.log
        self._memory = resources.place.memory
        self._pre_shared_key: asyncio.Future[bytes] | None = None

    def judge(self, remote: Address, verdict: Verdict, admit: Admit, refuse: Refuse) -> None:
        """Call one of the two, perhaps later: with what the client has proved, None for a v1 client's token; or why not."""
        wait = self._memory.wait(remote.ip, self._loop.time())
        if wait > 0:
            self._send_away(remote, wait, refuse)
        elif not verdict.accepted:
            self._refuse(remote, verdict, f"{verdict.status} {verdict.text}", refuse)
        elif not verdict.extension:
            self._unless_waiting(remote, Attempt(remote.ip, False, b""), lambda _: admit(None), refuse)
        else:
            self._with_key(lambda key: self._judge(remote, key, verdict.extension, admit, refuse))

    def _judge(self, remote: Address, key: bytes, header: str, admit: Admit, refuse: Refuse) -> None:
        extension = ServerExtension(key)
        offer = extension.receive(header)
        now = time()
        if offer is None:
            self._refuse(remote, UNAUTHORIZED, "it was made with another key", refuse)
            return
        if abs(now - offer.time) > MOST_AGE:
            off = f"its time is {abs(now - offer.time):.0f} s off this machine's: a wrong clock, or recorded"
            self._refuse(remote, UNAUTHORIZED, off, refuse)
            return

        def ruled(ruling: Ruling) -> None:
            if ruling.repeated:
                self._tell(remote, UNAUTHORIZED, "it has been used before: somebody has recorded it", refuse)
            else:
                admit(Proven(offer, extension))

        self._unless_waiting(remote, Attempt(remote.ip, False, offer.fresh), ruled, refuse)

    def _refuse(self, remote: Address, verdict: Verdict, reason: str, refuse: Refuse) -> None:
        attempt = Attempt(remote.ip, verdict.status is HTTPStatus.UNAUTHORIZED, b"")
        self._unless_waiting(remote, attempt, lambda _: self._tell(remote, verdict, reason, refuse), refuse)

    def _unless_waiting(self, remote: Address, attempt: Attempt, ruled: Callable[[Ruling], None], refuse: Refuse) -> None:
        def heard(ruling: Ruling) -> None:
            if ruling.wait > 0:
                self._send_away(remote, ruling.wait, refuse)
            else:
                ruled(ruling)

        self._memory.rule(attempt, self._loop.time(), heard)

    def _send_away(self, remote: Address, wait: float, refuse: Refuse) -> None:
        self._log.seldom("attempts", WARN, "Handshakes from %s are refused: too many have failed", remote.ip)
        refuse(HTTPStatus.TOO_MANY_REQUESTS, f"too many handshakes have failed: try again in {wait:.1f} s")

    def _tell(self, remote: Address, verdict: Verdict, reason: str, refuse: Refuse) -> None:
        self._log.seldom("handshake", WARN, "Handshake from %s refused: %s", remote, reason)
        refuse(verdict.status, verdict.text)

    def _with_key(self, use: Callable[[bytes], None]) -> None:
        """Call `use` with the pre-shared key: now, or when it has been made."""
        if self._pre_shared_key is None:
            self._pre_shared_key = self._loop.run_in_executor(None, pre_shared_key, self._secret.reveal())
        if self._pre_shared_key.done():
            use(self._pre_shared_key.result())
        else:
            self._pre_shared_key.add_done_callback(lambda made: use(made.result()))

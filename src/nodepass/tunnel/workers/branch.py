"""A session in a process that does not keep it: a pool, and users on it.

The keeper has the control channel, the replay window of proofs and the last word on its life.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodepass.tunnel.session import Session
from nodepass.tunnel.verification import Trust

if TYPE_CHECKING:
    from nodepass.net.address import Address
    from nodepass.tunnel.dialect import Dialect
    from nodepass.tunnel.egress import Egress
    from nodepass.tunnel.resources import Resources
    from nodepass.tunnel.session import SessionOwner


class Branch(Session):
    """One of them.

    Args:
        name: of the session.
        keeper: the process that keeps it.
        peer: the client's address.
        dialect: what the client speaks; of a kind that says nothing of users on the control channel.
        egress: see `Session`.
        owner: see `Session`.
        resources: of the instance.
    """

    def __init__(
        self,
        name: bytes,
        keeper: int,
        peer: Address,
        dialect: Dialect,
        *,
        egress: Egress | None,
        owner: SessionOwner,
        resources: Resources,
    ) -> None:
        super().__init__(peer, dialect, trust=Trust.PLAIN, egress=egress, owner=owner, dials=False, resources=resources)
        self.name = name
        self.keeper = keeper
        # No control channel comes up here; whether there is one, the keeper tells.
        self._timer.cancel()

    @property
    def needs_control(self) -> bool:
        return False

    @property
    def can_launch(self) -> bool:
        return True

    def become_ready(self) -> None:
        """The keeper says that it may carry users."""
        if not self.ready and not self.ended.done():
            self.ready = True
            self._owner.session_ready(self)


def name_of(session: Session) -> bytes:
    """The name of a session that is kept here; empty with a v1 client."""
    keys = session.dialect.keys
    return b"" if keys is None else keys.session

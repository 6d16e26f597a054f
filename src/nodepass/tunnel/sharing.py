"""Whether users share pool connections (`pool`, extension.md): each end has its say, and the server tells what comes of it.

QUIC and HTTP/2 have streams of their own, one for each user, so that there is nothing to decide there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nodepass.config import PoolSharing, PoolTransport
from nodepass.protocol.extension import FEATURES, Feature
from nodepass.tunnel.dialect import MUX_NEEDS

if TYPE_CHECKING:
    from nodepass.protocol.agreement import Agreement

WITHOUT_STREAMS: Final = frozenset({PoolTransport.TCP, PoolTransport.WEBSOCKET})
"""Transports on which a pool connection carries one user unless they share it."""


def offered(sharing: PoolSharing) -> frozenset[Feature]:
    """What a client says that it has of the extension."""
    return FEATURES - {Feature.MUX} if sharing is PoolSharing.SINGLE else FEATURES


def granted(sharing: PoolSharing, transport: PoolTransport, features: frozenset[Feature]) -> frozenset[Feature]:
    """What a server says that both have, of what a client has offered."""
    shares = sharing is not PoolSharing.SINGLE and transport in WITHOUT_STREAMS and features >= MUX_NEEDS
    return features & (FEATURES if shares else FEATURES - {Feature.MUX})


def lacks(sharing: PoolSharing, agreement: Agreement, features: frozenset[Feature] = frozenset()) -> bool:
    """Whether this end insists on sharing (`pool=mux`), and a session with such features would not share."""
    insists = sharing is PoolSharing.MUX and PoolTransport(agreement.type) in WITHOUT_STREAMS
    return insists and Feature.MUX not in features

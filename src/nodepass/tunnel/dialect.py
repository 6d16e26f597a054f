"""How the two ends of one session speak: as v1 does, or with what both have of the extension (spec: extension.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nodepass.policy.replay_window import ReplayWindow
from nodepass.protocol.extension import Feature
from nodepass.protocol.sealed import SealedCodec
from nodepass.protocol.session_keys import counter_of
from nodepass.relay.link_ends import FramedEnd, UnframedEnd

if TYPE_CHECKING:
    from nodepass.protocol.session_keys import SessionKeys
    from nodepass.protocol.signals import Action, Codec
    from nodepass.relay.link_ends import LinkEnd
    from nodepass.transport.base import Link
    from nodepass.tunnel.resources import Resources


MUX_NEEDS: Final = frozenset({Feature.POOL_AUTH, Feature.PIN, Feature.UDP_FRAME, Feature.INBAND, Feature.CONFIRM})
"""What `mux` is not spoken without: a user is announced on its stream, and no connection is named in a signal."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one session speaks.

    Args:
        codec: between control lines and signals.
        features: of the extension that both ends have.
        keys: of the session; None with a v1 peer.
        client: what the client calls itself, to be known when it comes back; empty if it does not.
        refuses: what the client does not carry.
    """

    codec: Codec
    features: frozenset[Feature]
    keys: SessionKeys | None
    client: str
    refuses: frozenset[Action]
    _used: ReplayWindow

    @classmethod
    def v1(cls, codec: Codec) -> Dialect:
        """That of a v1 peer, whose control lines are under the tunnel key."""
        return cls(codec, frozenset(), None, "", frozenset(), ReplayWindow())

    @classmethod
    def extended(
        cls,
        codec: Codec,
        keys: SessionKeys,
        features: frozenset[Feature],
        client: str = "",
        refuses: frozenset[Action] = frozenset(),
    ) -> Dialect:
        """That of a peer which has proved the key; `codec` serves if it does not seal its control lines."""
        codec = SealedCodec(keys) if Feature.SEAL in features else codec
        return cls(codec, features, keys, client, refuses, ReplayWindow())

    @property
    def proves(self) -> bool:
        """Whether every pool connection begins with a proof, so that addresses mean nothing."""
        return Feature.POOL_AUTH in self.features

    @property
    def pins(self) -> bool:
        """Whether the client compares each connection's certificate with what the server said under the key."""
        return Feature.PIN in self.features

    @property
    def seals(self) -> bool:
        """Whether control lines are sealed, so that things can be said which v1 does not know."""
        return Feature.SEAL in self.features

    @property
    def inband(self) -> bool:
        """Whether a user is announced on the connection that carries it."""
        return Feature.INBAND in self.features

    @property
    def confirms(self) -> bool:
        """Whether the egress tells when it has reached a target."""
        return self.inband and Feature.CONFIRM in self.features

    @property
    def shares(self) -> bool:
        """Whether users share pool connections."""
        return Feature.MUX in self.features and self.features >= MUX_NEEDS

    def admits(self, proof: bytes) -> bool:
        """Whether this proof is of the session's client and opens its first connection."""
        return self.keys is not None and self.keys.proves(proof) and self._used.take(counter_of(proof))

    def datagrams(self, link: Link, resources: Resources, early: bytes = b"", *, ended: bool = False) -> LinkEnd:
        """Datagrams over a pool connection, of which `early` has been read, and perhaps its end."""
        kind = FramedEnd if Feature.UDP_FRAME in self.features else UnframedEnd
        return kind(link, resources.tunables.udp_data_buf_size, resources.log, early, ended=ended)

"""Pool transport 1: one QUIC connection per session, each pool connection a stream of it (RFC 9000; spec: wire.md)."""

from __future__ import annotations

from nodepass.transport.quic.dialer import QuicDialer
from nodepass.transport.quic.listener import QuicListener

__all__ = ["QuicDialer", "QuicListener"]

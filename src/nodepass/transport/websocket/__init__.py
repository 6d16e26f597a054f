"""Pool transport 2: a WebSocket (RFC 6455) per user, over TCP or TLS, so that it passes through HTTP proxies."""

from nodepass.transport.websocket.acceptor import WebSocketAcceptor
from nodepass.transport.websocket.dialer import WebSocketDialer

__all__ = ["WebSocketAcceptor", "WebSocketDialer"]

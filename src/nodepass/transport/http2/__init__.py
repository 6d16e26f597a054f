"""Pool transport 3: HTTP/2 over TLS 1.3, a stream for each pool connection (spec: wire.md, Pool connections).

The client sends `POST /stream`, whose body begins with a byte 0; the answer's body begins with the ID. Request and response
bodies are then the two directions.
"""

from nodepass.transport.http2.acceptor import Http2Acceptor
from nodepass.transport.http2.dialer import Http2Dialer

__all__ = ["Http2Acceptor", "Http2Dialer"]

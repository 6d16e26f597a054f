"""Users' streams on a few connections that they share (`pool=mux`, extension.md)."""

from nodepass.transport.mux.connection import MuxConnection
from nodepass.transport.mux.link import MuxLink

__all__ = ["MuxConnection", "MuxLink"]

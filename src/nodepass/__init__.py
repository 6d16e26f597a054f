"""A tunnel for TCP and UDP: server, client, single-end forwarder and their master from one URL.

::

    async with nodepass.Server("server://key@:10101/127.0.0.1:8080?tls=1") as server:
        await server.connected()
        print(server.stats)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodepass.errors import (
    ConfigError,
    DialError,
    HandshakeError,
    HandshakeRefused,
    ListenError,
    MasterError,
    NodePassError,
    ProtocolError,
    ProxyHeaderError,
    SessionError,
    SignalError,
    TunnelError,
)
from nodepass.version import __version__

if TYPE_CHECKING:
    from nodepass.config import ClientConfig, MasterConfig, ServerConfig, Tunables, parse_url, to_url
    from nodepass.master.master import Master
    from nodepass.tunnel.client import Client
    from nodepass.tunnel.forward import Forwarder
    from nodepass.tunnel.server import Server
    from nodepass.tunnel.stats import Stats

__all__ = [
    "Client",
    "ClientConfig",
    "ConfigError",
    "DialError",
    "Forwarder",
    "HandshakeError",
    "HandshakeRefused",
    "ListenError",
    "Master",
    "MasterConfig",
    "MasterError",
    "NodePassError",
    "ProtocolError",
    "ProxyHeaderError",
    "Server",
    "ServerConfig",
    "SessionError",
    "SignalError",
    "Stats",
    "Tunables",
    "TunnelError",
    "__version__",
    "parse_url",
    "to_url",
]

_HOME = {
    **dict.fromkeys(("ClientConfig", "MasterConfig", "ServerConfig", "Tunables", "parse_url", "to_url"), "config"),
    "Client": "tunnel.client",
    "Forwarder": "tunnel.forward",
    "Master": "master.master",
    "Server": "tunnel.server",
    "Stats": "tunnel.stats",
}
"""Where each public name lives that is not imported at once."""


def __getattr__(name: str) -> object:
    """Import a name when it is first asked for: `nodepass --version` needs none of them, a client no server."""
    if name not in _HOME:
        raise AttributeError(f"module 'nodepass' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only needed here

    return getattr(import_module(f"nodepass.{_HOME[name]}"), name)

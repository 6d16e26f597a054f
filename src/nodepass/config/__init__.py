"""What the user asked for: URLs, parameters, tunables. No I/O."""

from nodepass.config.configs import ClientConfig, MasterConfig, ServerConfig, TunnelConfig
from nodepass.config.duration import format_duration, parse_duration
from nodepass.config.endpoint import Endpoint, IPAddress, parse_endpoint
from nodepass.config.help import help_text
from nodepass.config.kinds import IPNetwork
from nodepass.config.tunables import Tunables
from nodepass.config.url import Config, default_key, parse_url, to_url
from nodepass.config.values import (
    Balancing,
    Blocked,
    LogFormat,
    LogLevel,
    Mode,
    PoolSharing,
    PoolTransport,
    ProxyVersion,
    RunMode,
    Secret,
    TlsMode,
)

__all__ = [
    "Balancing",
    "Blocked",
    "ClientConfig",
    "Config",
    "Endpoint",
    "IPAddress",
    "IPNetwork",
    "LogFormat",
    "LogLevel",
    "MasterConfig",
    "Mode",
    "PoolSharing",
    "PoolTransport",
    "ProxyVersion",
    "RunMode",
    "Secret",
    "ServerConfig",
    "TlsMode",
    "Tunables",
    "TunnelConfig",
    "default_key",
    "format_duration",
    "help_text",
    "parse_duration",
    "parse_endpoint",
    "parse_url",
    "to_url",
]

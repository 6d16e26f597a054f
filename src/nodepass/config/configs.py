"""What a URL asks for, read and checked: one class for each mode.

Fields that bear the name of a URL parameter hold its value; the rows in `params` say what they mean. Times are in
seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from nodepass.config import params
from nodepass.config.values import (
    Balancing,
    Blocked,
    LogLevel,
    Mode,
    PoolSharing,
    PoolTransport,
    ProxyVersion,
    RunMode,
    Secret,
    TlsMode,
)

if TYPE_CHECKING:
    from nodepass.config.endpoint import Endpoint, IPAddress
    from nodepass.config.kinds import IPNetwork

DEFAULT_PREFIX: Final = "/api"
"""Where a master's API answers unless its URL says."""

_BYTES_PER_SECOND_IN_A_MBIT: Final = 125_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelConfig:
    """What a server and a client have in common.

    Of a dual-end client, `tls`, `type` and `max` do not count: the server tells it what they are.

    Args:
        secret: the tunnel key.
        key_is_default: whether the URL gave no key, so that `secret` is derived from the tunnel port and is no secret.
        tunnel: where the server listens and the client dials.
        targets: at least one; the end that binds takes the first, the end that dials rotates over all.
    """

    scheme: ClassVar[Mode]

    secret: Secret
    key_is_default: bool = False
    tunnel: Endpoint
    targets: tuple[Endpoint, ...]
    log: LogLevel = params.LOG.default
    tls: TlsMode = params.TLS.default
    crt: str = params.CRT.default
    key: str = params.KEY.default
    type: PoolTransport = params.TYPE.default
    mode: RunMode = params.MODE.default
    dns: float = params.DNS.default
    max: int = params.MAX.default
    rate: int = params.RATE.default
    slot: int = params.SLOT.default
    proxy: ProxyVersion = params.PROXY.default
    read: float = params.READ.default
    dial: IPAddress | None = params.DIAL.default
    notcp: bool = params.NOTCP.default
    noudp: bool = params.NOUDP.default
    lbs: Balancing = params.LBS.default
    block: Blocked = params.BLOCK.default
    strict: bool = params.STRICT.default
    pool: PoolSharing = params.POOL.default
    workers: int = params.WORKERS.default
    allow: tuple[IPNetwork, ...] = params.ALLOW.default
    deny: tuple[IPNetwork, ...] = params.DENY.default
    proxyin: tuple[IPNetwork, ...] = params.PROXYIN.default

    @property
    def rate_bytes(self) -> int:
        """The rate in bytes per second; 0 for no limit."""
        return self.rate * _BYTES_PER_SECOND_IN_A_MBIT


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig(TunnelConfig):
    """A tunnel's server."""

    scheme: ClassVar[Mode] = Mode.SERVER


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig(TunnelConfig):
    """A tunnel's client, or a forwarder on its own."""

    scheme: ClassVar[Mode] = Mode.CLIENT

    min: int = params.MIN.default
    sni: str = params.SNI.default

    @property
    def server_name(self) -> str:
        """The name by which the client calls the server, in `Host` and in TLS.

        It is `sni`, else the tunnel's host; an empty host or an IP address has no name and gives ``none``.
        """
        if self.sni:
            return self.sni
        return self.tunnel.host if self.tunnel.host and self.tunnel.ip is None else "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterConfig:
    """The REST API that runs servers and clients.

    Args:
        address: where the API listens.
        prefix: path under which it answers, with a slash in front and none behind.
    """

    scheme: ClassVar[Mode] = Mode.MASTER

    address: Endpoint
    prefix: str = DEFAULT_PREFIX
    log: LogLevel = params.LOG.default
    tls: TlsMode = params.TLS.default
    crt: str = params.CRT.default
    key: str = params.KEY.default
    dashboard: bool = params.DASHBOARD.default

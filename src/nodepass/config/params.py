"""The parameters of a URL, one row each: `config.md`'s table as data."""

from __future__ import annotations

from typing import Final

from nodepass.config.kinds import (
    BlockedProtocols,
    Choice,
    Duration,
    Flag,
    HostName,
    Integer,
    Networks,
    Path,
    SourceAddress,
)
from nodepass.config.parameter import Parameter, Row
from nodepass.config.values import (
    Balancing,
    Blocked,
    LogLevel,
    Mode,
    PoolSharing,
    PoolTransport,
    ProxyVersion,
    RunMode,
    TlsMode,
)

_CLIENT: Final = frozenset({Mode.CLIENT})
_MASTER: Final = frozenset({Mode.MASTER})
_TUNNEL: Final = _CLIENT | {Mode.SERVER}
_EVERY: Final = _TUNNEL | _MASTER
_SINGLE_END: Final = {Mode.CLIENT: "single-end"}
_TOLD_BY_SERVER: Final = {Mode.CLIENT: "told by the server"}

LOG: Final = Parameter(
    "log",
    "`none` `debug` `info` `warn` `error` `event`; `error` still shows events, `event` shows only events",
    _EVERY,
    Choice(LogLevel),
    LogLevel.INFO,
)
TLS: Final = Parameter(
    "tls",
    "0 none, 1 self-signed in memory, 2 `crt` and `key` files. On a single-end client the listener terminates TLS",
    _EVERY,
    Choice(TlsMode),
    TlsMode.NONE,
    remarks=_SINGLE_END,
)
CRT: Final = Parameter(
    "crt", "path of the certificate chain in PEM, needed with `tls=2`", _EVERY, Path(), "", remarks=_SINGLE_END
)
KEY: Final = Parameter(
    "key", "path of its private key in PEM, needed with `tls=2`", _EVERY, Path(), "", remarks=_SINGLE_END
)
TYPE: Final = Parameter(
    "type",
    "pool transport: 0 TCP, 1 QUIC, 2 WebSocket, 3 HTTP/2",
    _TUNNEL,
    Choice(PoolTransport),
    PoolTransport.TCP,
    remarks=_TOLD_BY_SERVER,
)
MODE: Final = Parameter(
    "mode",
    "0 auto by binding, 1 server reverse / client single-end, 2 server forward / client dual-end",
    _TUNNEL,
    Choice(RunMode),
    RunMode.AUTO,
)
DNS: Final = Parameter("dns", "how long a resolved name is kept; 0 asks every time", _TUNNEL, Duration(), 300.0)
MIN: Final = Parameter(
    "min", "pool connections the client keeps ready; where users share them, at most 4", _CLIENT, Integer(1, 65535), 64
)
MAX: Final = Parameter("max", "most pool connections", _TUNNEL, Integer(1, 65535), 1024, remarks=_TOLD_BY_SERVER)
RATE: Final = Parameter("rate", "Mbit/s for the instance, each direction; 0 no limit", _TUNNEL, Integer(0), 0)
SLOT: Final = Parameter("slot", "most concurrent connections, TCP and UDP together; 0 no limit", _TUNNEL, Integer(0), 65536)
PROXY: Final = Parameter(
    "proxy",
    "PROXY protocol header to the target: 0 none, 1 v1 text, 2 v2 binary",
    _TUNNEL,
    Choice(ProxyVersion),
    ProxyVersion.NONE,
)
READ: Final = Parameter("read", "end a relayed connection idle this long; 0 never", _TUNNEL, Duration(), 0.0)
DIAL: Final = Parameter(
    "dial",
    "local IP address of outgoing target connections; `auto` leaves it to the system",
    _TUNNEL,
    SourceAddress(),
    None,
)
NOTCP: Final = Parameter("notcp", "1 turns TCP forwarding off", _TUNNEL, Flag(), False)
NOUDP: Final = Parameter("noudp", "1 turns UDP forwarding off", _TUNNEL, Flag(), False)
SNI: Final = Parameter("sni", "server name for TLS and for `Host`; the tunnel's host unless given", _CLIENT, HostName(), "")
LBS: Final = Parameter(
    "lbs",
    "several targets: 0 round-robin, 1 lowest latency, 2 primary with backups",
    _TUNNEL,
    Choice(Balancing),
    Balancing.ROUND_ROBIN,
)
BLOCK: Final = Parameter(
    "block",
    "refuse user connections that begin as 1 SOCKS, 2 HTTP, 3 TLS; digits combine (`block=13`)",
    _TUNNEL,
    BlockedProtocols(),
    Blocked(0),
)
STRICT: Final = Parameter("strict", "1 speaks only to peers that prove the key with the extension", _TUNNEL, Flag(), False)
POOL: Final = Parameter(
    "pool",
    "`type` 0 and 2: whether users share pool connections; `auto` where the peer can, `single` never, `mux` or no session",
    _TUNNEL,
    Choice(PoolSharing),
    PoolSharing.AUTO,
)
WORKERS: Final = Parameter(
    "workers",
    "processes on one listener; 0 one per core",
    _TUNNEL,
    Integer(0, 64),
    1,
)
ALLOW: Final = Parameter("allow", "networks (CIDR, comma-separated) whose users the ingress takes", _TUNNEL, Networks(), ())
DENY: Final = Parameter(
    "deny", "networks whose users the ingress refuses, even where `allow` has them", _TUNNEL, Networks(), ()
)
PROXYIN: Final = Parameter(
    "proxyin",
    "networks whose connections must begin with a PROXY header, which then gives the user's address",
    _TUNNEL,
    Networks(),
    (),
)
DASHBOARD: Final = Parameter("dashboard", "0 turns the web page off", _MASTER, Flag(), True)

ALL: Final[tuple[Row, ...]] = (
    *(LOG, TLS, CRT, KEY, TYPE, MODE, DNS, MIN, MAX, RATE, SLOT, PROXY, READ, DIAL, NOTCP, NOUDP, SNI, LBS, BLOCK),
    *(STRICT, POOL, WORKERS, ALLOW, DENY, PROXYIN, DASHBOARD),
)
"""Every row, in the order of the table."""

BY_NAME: Final = {row.name: row for row in ALL}
"""Every row by its name."""


def rows_of(mode: Mode) -> tuple[Row, ...]:
    """Return the rows that a mode takes, in the order of the table."""
    return tuple(row for row in ALL if mode in row.modes)


def markdown_rows() -> tuple[str, ...]:
    """Return the table's lines for the README: name, meaning, default, and a column for each mode."""
    lines = []
    for row in ALL:
        default = f"`{row.default_text}`" if row.default_text else ""
        cells = (row.remarks.get(mode, "x" if mode in row.modes else "") for mode in Mode)
        lines.append(f"| {' | '.join((f'`{row.name}`', row.help, default, *cells))} |")
    return tuple(lines)

"""frp: `frps` and `frpc`, configured as its documentation says (conf/frps_full_example.toml and its fellow)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.contenders.certificate import NAME, make_certificate
from bench.contenders.nodepass import KEY
from bench.model import HOST, Command, Contender, Flow
from nodepass.config import PoolTransport, TlsMode

if TYPE_CHECKING:
    from pathlib import Path

    from bench.model import Ports, Setup

PROTOCOLS = {PoolTransport.TCP: "tcp", PoolTransport.QUIC: "quic", PoolTransport.WEBSOCKET: "websocket"}


class Frp(Contender):
    """Two programs; users come in at the server only.

    Args:
        server: path of frps.
        client: path of frpc.
    """

    def __init__(self, server: str, client: str) -> None:
        super().__init__("frp")
        self._server = server
        self._client = client

    def refusal(self, setup: Setup) -> str:
        if setup.single:
            return "frp has no forwarder with one end"
        if setup.flow is Flow.FORWARD:
            return "frp takes users in at its server only"
        return "" if setup.transport in PROTOCOLS else f"frp has no {setup.transport.name}"

    def commands(self, setup: Setup, ports: Ports, folder: Path) -> tuple[Command, ...]:
        quic = f"quicBindPort = {ports.tunnel}\n" if setup.transport is PoolTransport.QUIC else ""
        common = f'auth.method = "token"\nauth.token = "{KEY}"\nlog.to = "console"\nlog.level = "warn"\n'
        server_tls = client_tls = ""
        if setup.tls is TlsMode.FILES:
            files = make_certificate(folder)
            server_tls = f'transport.tls.certFile = "{files.certificate}"\ntransport.tls.keyFile = "{files.key}"\n'
            client_tls = f'transport.tls.trustedCaFile = "{files.authority}"\ntransport.tls.serverName = "{NAME}"\n'
        server = folder / "frps.toml"
        server.write_text(f'bindAddr = "{HOST}"\nbindPort = {ports.tunnel}\n{quic}{common}{server_tls}', encoding="utf-8")
        # Its default is TLS, also where the row says without.
        tls = "true" if setup.encrypts else "false"
        client = folder / "frpc.toml"
        client.write_text(
            f'serverAddr = "{HOST}"\nserverPort = {ports.tunnel}\n{common}'
            f'transport.protocol = "{PROTOCOLS[setup.transport]}"\ntransport.tls.enable = {tls}\n{client_tls}'
            + "".join(self._proxy(kind, ports) for kind in ("tcp", "udp")),
            encoding="utf-8",
        )
        return (
            Command("frps", (self._server, "-c", str(server)), ports.tunnel),
            Command("frpc", (self._client, "-c", str(client))),
        )

    def version(self) -> tuple[str, ...]:
        return (self._server, "--version")

    @staticmethod
    def _proxy(kind: str, ports: Ports) -> str:
        return (
            f'\n[[proxies]]\nname = "{kind}"\ntype = "{kind}"\nlocalIP = "{HOST}"\n'
            f"localPort = {ports.target}\nremotePort = {ports.users}\n"
        )

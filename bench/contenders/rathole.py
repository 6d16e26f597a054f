"""rathole: one program for both ends, configured as its README and docs/transport.md say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.contenders.certificate import NAME, PASSWORD, make_certificate
from bench.contenders.nodepass import KEY
from bench.model import HOST, Command, Contender, Flow
from nodepass.config import PoolTransport

if TYPE_CHECKING:
    from pathlib import Path

    from bench.model import Ports, Setup

OFFERED = {PoolTransport.TCP, PoolTransport.WEBSOCKET}


class Rathole(Contender):
    """Users come in at its server only.

    Args:
        program: its path.
    """

    version_label = "Build Version:"

    def __init__(self, program: str) -> None:
        super().__init__("rathole")
        self._program = program

    def refusal(self, setup: Setup) -> str:
        if setup.single:
            return "rathole has no forwarder with one end"
        if setup.flow is Flow.FORWARD:
            return "rathole takes users in at its server only"
        return "" if setup.transport in OFFERED else f"rathole has no {setup.transport.name}"

    def commands(self, setup: Setup, ports: Ports, folder: Path) -> tuple[Command, ...]:
        address = f"{HOST}:{ports.tunnel}"
        server_tls = client_tls = ""
        if setup.encrypts:
            files = make_certificate(folder)
            server_tls = f'pkcs12 = "{files.pkcs12}"\npkcs12_password = "{PASSWORD}"\n'
            client_tls = f'trusted_root = "{files.authority}"\nhostname = "{NAME}"\n'
        server, client = folder / "server.toml", folder / "client.toml"
        server.write_text(
            f'[server]\nbind_addr = "{address}"\ndefault_token = "{KEY}"\n'
            + self._transport("server", setup, server_tls)
            + self._services("server", "bind_addr", ports.users),
            encoding="utf-8",
        )
        client.write_text(
            f'[client]\nremote_addr = "{address}"\ndefault_token = "{KEY}"\n'
            + self._transport("client", setup, client_tls)
            + self._services("client", "local_addr", ports.target),
            encoding="utf-8",
        )
        environment = {"RUST_LOG": "warn"}
        return (
            Command("server", (self._program, "--server", str(server)), ports.tunnel, environment),
            Command("client", (self._program, "--client", str(client)), env=environment),
        )

    def version(self) -> tuple[str, ...]:
        return (self._program, "--version")

    @staticmethod
    def _transport(end: str, setup: Setup, tls: str) -> str:
        websocket = setup.transport is PoolTransport.WEBSOCKET
        kind = "websocket" if websocket else "tls" if setup.encrypts else "tcp"
        lines = f'\n[{end}.transport]\ntype = "{kind}"\n'
        if tls:
            lines += f"\n[{end}.transport.tls]\n{tls}"
        if websocket:
            lines += f"\n[{end}.transport.websocket]\ntls = {'true' if setup.encrypts else 'false'}\n"
        return lines

    @staticmethod
    def _services(end: str, member: str, port: int) -> str:
        return "".join(
            f'\n[{end}.services.{kind}]\ntype = "{kind}"\n{member} = "{HOST}:{port}"\n' for kind in ("tcp", "udp")
        )
